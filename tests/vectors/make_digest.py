"""Writes digest.json from the canonical form as migration 0005_digest describes it, with hashlib alone and nothing of tminus.

Run it only to add a vector: the digests that stand in digest.json never change.
"""

import hashlib
import json
import re
from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHV0Zi04IGlzIG5vdCBhc2NpaSwgYW5kIHRoYXQgaXMgZmlu"
PLAIN_ROW = {
    "id": "0198c0de-0000-7000-8000-000000000001",
    "script": '/system identity set name="edge"\n',
    "make_backup": True,
    "abort_if_offline": False,
    "test_site_id": None,
    "launch_at": "2030-10-30T10:00:00.000000Z",
    "cron": None,
    "timezone": None,
    "start_within": 3_600_000_000,
    "site_timeout": 600_000_000,
    "max_concurrency": None,
}
PLAIN_SITE = {
    "id": "site_1",
    "jump_host": None,
    "address": "192.0.2.1",
    "port": 22,
    "username": None,
    "credential": None,
    "host_key": None,
}
FULL_SITE = {
    "id": "site_2",
    "jump_host": "bastion",
    "address": "2001:db8::2",
    "port": 2222,
    "username": "tminus",
    "credential": "core",
    "host_key": KEY,
}
CRON = {"launch_at": None, "cron": "*/15 2-4 1,15 * mon-fri", "timezone": "Europe/Dublin"}
VECTORS = [
    ("plain: one site, every option as it is by default", {}, [{}]),
    ("unicode: lengths count bytes, not characters", {"script": ':put "привет 🚀 – é"\n'}, [{"id": "Zürich/№1"}]),
    ("nulls: an empty text is not an absent one", {"test_site_id": ""}, [{}]),
    ("cron: launch_at is left out", CRON, [{}]),
    (
        "every option of the row and of the site",
        {
            "make_backup": False,
            "abort_if_offline": True,
            "test_site_id": "site_2",
            "launch_at": "2031-01-02T03:04:05.000006Z",
            "start_within": 1_500_000,
            "site_timeout": 86_400_000_000,
            "max_concurrency": 25,
        },
        [FULL_SITE],
    ),
    ("many sites, in the order of the row", {}, [{"id": f"s{n}", "port": 22 + n} for n in (3, 1, 2, 10)] + [FULL_SITE]),
    ("options that are left out where they are false", {"expects_disconnect": True, "detached": True}, [{}]),
    (
        "a rollout: waves and limits, lists joined by commas",
        {
            "wave_sizes": ["1", "10", "25%"],
            "wave_order": ["edge", "core"],
            "wave_pause": 600_000_000,
            "wave_confirm": True,
            "confirm_within": 7_200_000_000,
            "max_failures": "3",
            "max_failures_in_wave": "10%",
            "max_offline": "0",
        },
        [{}],
    ),
    (
        "guards: left out where there is none",
        {"guard_version": ">=7.12 <8", "guard_free_space": 2_000_000, "guard_uptime": 300_000_000, "guard_cpu_load": 0},
        [{}],
    ),
    (
        "variables: those that the script names and that have a value, a site's own before the row's",
        {
            "script": ':put "$(zone) $(b) $(Ab) $(none) $(zone)"\n# $(ü) $(in-comment)\n',
            "variables": {"zone": "row", "b": 5, "unnamed": "x", "in-comment": False},
        },
        [{"variables": {"zone": "Zürich, 4:a,", "Ab": "5", "other": 1}}, {"id": "site_2", "port": 23}],
    ),
    ("named windows, in the order of the row", {"windows": ["nights", "Sonntag früh"]}, [{}]),
    (
        "local time: launch_at is left out",
        {
            "launch_at": None,
            "local_time": "2031-03-30T02:30:00.000000",
            "stop_starting_at": "2031-03-31T06:00:00.000000Z",
        },
        [{}],
    ),
    (
        "cron: with an end",
        CRON | {"missed_policy": "run_latest", "until": "2032-01-01T00:00:00.000000Z", "max_launches": 12},
        [{}],
    ),
    (
        "waves, then guards, then windows",
        {
            "wave_sizes": ["1"],
            "max_failures": "0",
            "guard_cpu_load": 50,
            "windows": ["nights"],
            "stop_starting_at": "2030-10-31T06:00:00.000000Z",
        },
        [{}],
    ),
    ("ssh_profile: left out where it is modern", {}, [{"ssh_profile": "legacy", "variables": {"x": "y"}}]),
    (
        "sensitive_export: after the variables of the site, left out where it is false",
        {"script": ":put $(x)"},
        [{"variables": {"x": "y"}, "sensitive_export": True}],
    ),
    (
        "post-checks: in the order of the row, and variables are named in them, too",
        {
            "script": ":put $(zone)",
            "post_checks": ["[:len [/ip route find gateway=$(gateway)]] > 0", "true"],
            "variables": {"zone": "a", "gateway": "10.0.0.1"},
        },
        [{}],
    ),
    (
        "return_address: the last of the site, left out where there is none",
        {"script": ":put $(x)", "expects_disconnect": True},
        [
            {"variables": {"x": "y"}, "sensitive_export": True, "return_address": "192.0.2.99"},
            {"id": "site_2", "return_address": "r2.example"},
        ],
    ),
    ("netstrings: text that looks like the canonical form", {"script": "6:script,3:abc,"}, [{"id": "2:id,6:site_1,"}]),
]


def netstring(text: str) -> bytes:
    return str(len(text.encode("utf-8"))).encode() + b":" + text.encode("utf-8") + b","


def variables(script: str, *holders: dict[str, object]) -> str | None:
    values: dict[str, object] = {}
    for holder in holders:
        values |= holder
    text = b""
    for name in sorted(set(re.findall(r"\$\(([A-Za-z][A-Za-z0-9_-]{0,63})\)", script)) & set(values)):
        value = values[name]
        kind = "boolean" if isinstance(value, bool) else "number" if isinstance(value, int) else "string"
        text += netstring(name) + netstring(f"{kind}:{str(value).lower() if kind == 'boolean' else value}")
    return text.decode("utf-8") or None


def part(fields: dict[str, object]) -> str:
    sha256 = hashlib.sha256()
    for name, value in fields.items():
        if value is not None:
            sha256.update(netstring(name))
            if isinstance(value, list) and name in ("windows", "post_checks"):
                text = b"".join(netstring(each) for each in value).decode()
            elif isinstance(value, list):
                text = ",".join(value)
            else:
                text = str(value).lower() if isinstance(value, bool) else str(value)
            sha256.update(netstring(text))
    return sha256.hexdigest()


def vector(name: str, row: dict[str, object], sites: list[dict[str, object]]) -> dict[str, object]:
    row = PLAIN_ROW | row
    sites = [PLAIN_SITE | site for site in sites]
    of_row = row.get("variables", {})
    row_digest = part({name: value for name, value in row.items() if name != "variables"})
    site_digests = [
        part(
            {name: value for name, value in site.items() if name not in ("sensitive_export", "return_address")}
            | {
                "variables": variables(
                    "\n".join((str(row["script"]), *row.get("post_checks", ()))), of_row, site.get("variables", {})
                )
            }
            | {"sensitive_export": site.get("sensitive_export"), "return_address": site.get("return_address")}
        )
        for site in sites
    ]
    whole = netstring("tminus1") + netstring(row_digest)
    for site, digest in zip(sites, site_digests, strict=True):
        whole += netstring(str(site["id"])) + netstring(digest)
    return {
        "name": name,
        "row": row,
        "sites": sites,
        "row_digest": row_digest,
        "site_digests": site_digests,
        "digest": "tminus1:" + hashlib.sha256(whole).hexdigest(),
    }


if __name__ == "__main__":
    text = json.dumps([vector(*entry) for entry in VECTORS], indent=2, ensure_ascii=False)
    (Path(__file__).parent / "digest.json").write_text(text + "\n", encoding="utf-8")

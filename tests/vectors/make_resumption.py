"""Writes resumption.json from the canonical form as tminus/domain/resumption.py describes it, with hashlib alone and nothing of tminus.

Run it only to add a vector: the digests that stand in resumption.json never change.
"""

import hashlib
import json
from pathlib import Path

HOLDS = ["0198c0de-0000-7000-8000-0000000000f1", "0198c0de-0000-7000-8000-00000000000e"]
LAUNCH = "0198c0de-0000-7000-8000-000000000002"
STARTS = [
    ("fedcba9876543210", LAUNCH, "site_2", "2030-10-30T10:00:00.000000Z"),
    ("0123456789abcdef", LAUNCH, "Zürich/№1", "2030-10-30T10:00:01.000002Z"),
    ("0123456789abcdef", LAUNCH, "Z", "2030-10-30T10:00:01.000002Z"),
]
VECTORS = [
    ("one host, one start", "bob", HOLDS[:1], STARTS[:1]),
    ("two hosts and several starts: given in any order, in the digest by their bytes", "bob", HOLDS, STARTS),
    ("starts that no host holds itself back for, and a name beyond ASCII", "Zoë Ångström", [], STARTS[:2]),
]


def netstring(text: str) -> bytes:
    return str(len(text.encode("utf-8"))).encode() + b":" + text.encode("utf-8") + b","


def vector(name: str, approver: str, holds: list[str], starts: list[tuple[str, ...]]) -> dict[str, object]:
    whole = netstring("resume_all") + netstring(str(len(holds)))
    for hold in sorted(holds):
        whole += netstring(hold)
    for start in sorted(starts, key=lambda start: [field.encode("utf-8") for field in start]):
        for field in start:
            whole += netstring(field)
    digest = "tminus1:" + hashlib.sha256(whole).hexdigest()
    expires = "2031-01-02T03:04:05.000006Z"
    text = (
        f"tminus authorization, version 1\nact: resume_all\nholds: {len(holds)}\nstarts: {len(starts)}\n"
        f"digest: {digest}\napprover: {approver}\nexpires: {expires}\n"
    )
    shown = [dict(zip(("nonce", "launch", "site", "at"), start, strict=True)) for start in starts]
    return {
        "name": name,
        "holds": holds,
        "starts": shown,
        "approver": approver,
        "expires": expires,
        "digest": digest,
        "text": text,
    }


if __name__ == "__main__":
    made = json.dumps([vector(*entry) for entry in VECTORS], indent=2, ensure_ascii=False)
    (Path(__file__).parent / "resumption.json").write_text(made + "\n", encoding="utf-8")

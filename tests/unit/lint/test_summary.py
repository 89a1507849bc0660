"""The summary: one to three sentences, the same each time, no secrets, and no claim about what is not seen."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.routeros.lint import from_json, inspect

SUMMARIES = {
    "/ip firewall filter add action=drop chain=input src-address-list=blacklist": (
        "Adds 1 firewall filter rule (drop, input, list blacklist); changes no addresses, users, services or routes."
    ),
    "/ip address\nadd address=10.0.0.1/24 interface=ether1\nadd address=10.0.1.1/24 interface=ether1": (
        "Adds 2 addresses (on ether1); changes no users, services or routes."
    ),
    "/ip service set ssh port=2222": "Changes 1 service (port); changes no addresses, users or routes.",
    "/ip service disable telnet,ftp": "Disables 2 services; changes no addresses, users or routes.",
    "/user remove [find]": "Removes all users; changes no addresses, services or routes.",
    "/ip route remove [find comment=old]": "Removes routes; changes no addresses, users or services.",
    "/system identity set name=x": (
        "Changes the identity (name); changes no addresses, users, services or routes."
    ),
    "/ip dns set servers=1.1.1.1": (
        "Changes the DNS settings (servers); changes no addresses, users, services or routes."
    ),
    "/system reboot": "Reboots the router; changes no addresses, users, services or routes.",
    "/ip pool add name=p ranges=10.0.0.2-10.0.0.9\n/system reboot": (
        "Reboots the router and adds 1 address pool (p); changes no addresses, users, services or routes."
    ),
    ":put [/ip address print]": "Changes no configuration: it only reads and prints.",
    ":log info x": "Changes no configuration: it only reads and prints.",
    "# nothing": "Does nothing: it has no commands.",
    ":foreach i in=[/interface find] do={ /interface set $i comment=x }": (
        "Changes all interfaces; changes no addresses, users, services or routes. Some of it only under a condition, in a loop or"
        " in a function."
    ),
    "/import x.rsc": "Runs another file. What else it does is not seen here.",
    ":execute $x": "Runs code that is not seen here.",
    "/ip pool add name=ops ranges=1.1.1.1\n/frob nicate": "Adds 1 address pool (ops). What else it does is not seen here.",
    "/system scheduler add name=x interval=1d on-event=\"/user remove [find]\"": (
        "Adds 1 scheduler entry (x, every 1d); changes no addresses, services or routes."
    ),
    "/ip address add address=1.2.3.4/24 interface=ether1 colour=red": (
        "Is not readable by every router: expected end of command (line 1 column 53). Adds 1 address (1.2.3.4/24, on ether1)."
    ),
    ":put )": "Is not readable as RouterOS: expected end of command (line 1 column 6).",
}  # fmt: skip


@pytest.mark.parametrize("script", SUMMARIES, ids=list(SUMMARIES))
def test_what_a_script_does_in_short(script: str) -> None:
    assert inspect(script.encode()).summary == SUMMARIES[script]


def test_secrets_and_comments_are_never_quoted() -> None:
    script = (
        "/user add name=ops group=full password=hunter2 comment=hunter2\n"
        "/ppp secret add name=x password=hunter2\n"
        "/snmp community add name=hunter2 authentication-password=hunter2\n"
        "/interface wireguard peers add interface=wg preshared-key=hunter2 public-key=hunter2\n"
        "/ip ipsec identity add secret=hunter2 peer=x\n"
        "/user set ops password=hunter2\n"
        "/frob nicate hunter2\n"
        "/ip address frobnicate hunter2\n"
    )
    seen = inspect(script.encode())
    assert "1 SNMP community" in seen.summary
    assert "hunter2" not in seen.summary
    assert not any("hunter2" in each.message for each in seen.findings)


def test_a_long_script_has_a_short_summary() -> None:
    script = "\n".join(
        f"/{menu} remove [find name=x{n}]"
        for n in range(3)
        for menu in ("queue simple", "ip pool", "ppp profile", "ppp secret", "interface bridge", "queue type", "routing table",
                     "ip firewall layer7-protocol", "tool netwatch", "system logging action", "ip dns static", "user group")
    )  # fmt: skip
    summary = inspect(script.encode()).summary
    assert len(summary) <= 300
    assert summary.startswith("Removes simple queues")
    assert "other kinds of change" in summary


def test_a_script_of_very_many_kinds_of_change_is_summed_up_as_fast_as_it_is_read() -> None:
    script = "".join(f"/ip/zz{n} add a=1\n" for n in range(8_000)).encode()
    begin = time.process_time()
    summary = inspect(script).summary
    assert time.process_time() - begin < 5.0
    assert summary.startswith("Runs /ip/zz0, runs /ip/zz1,")
    assert "runs /ip/zz15 and 7984 other kinds of change" in summary
    assert len(summary) <= 300


def test_no_control_character_passes_through() -> None:
    summary = inspect(
        '/ip pool add name="a\\1B[31m\\n" ranges=1.1.1.1\n/user group add name="\u202ex"'.encode()
    ).summary
    assert re.fullmatch(r"[ -~]+", summary)


PIECES = st.sampled_from(
    [b":local x ", b"/ip address ", b"add ", b"remove [find] ", b"[", b"]", b"{", b"}", b"(", b")", b'"', b"$x", b"\n", b";", b"=",
     b":execute ", b"source=", b"/system script add ", b"do={", b":if ", b":while (true) ", b"where ", b"\\", b"\xff", b"\0", b"->",
     b":foreach i in=", b"/system reboot", b"\t", b"\xe2\x80\xae", b".", b"1d", b":delay ", b"set ", b"$f ", b":global f do="]
)  # fmt: skip


@given(st.one_of(st.binary(max_size=200), st.lists(PIECES, max_size=40).map(b"".join)))
def test_any_bytes_have_an_answer_and_always_the_same(source: bytes) -> None:
    seen = inspect(source)
    assert inspect(source) == seen
    assert 0 < len(seen.summary) <= 300
    assert seen.summary.isprintable()
    assert seen.valid is (seen.message is None) is (seen.line is None) is (seen.column is None)
    assert (not seen.valid) == any(each.severity == "error" for each in seen.findings)
    lines = source.count(b"\n") + 1
    for each in seen.findings:
        assert 1 <= each.line <= lines
        assert each.column >= 1
        assert each.count >= 1
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", each.code)
        assert each.message.isprintable()
        assert each.message.endswith(".")
    assert from_json([each.as_json() for each in seen.findings]) == seen.findings


def test_it_is_quick_and_grows_with_the_length() -> None:
    """No quadratic corner: a script of a mebibyte of each kind is looked at in seconds."""
    for line in (
        b"remove [find where x=1]\n",
        b":put $undeclared\n",
        b"frobnicate\n",
        b":execute $x\n",
        '"\u202e"\n'.encode(),
    ):
        source = line * (200_000 // len(line))
        assert inspect(source).summary

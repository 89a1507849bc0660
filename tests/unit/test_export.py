"""Exports: only a whole one counts, and the same configuration always has the same SHA-256."""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.routeros import export
from tminus.routeros.export import Export, Incomplete, read_export
from tminus.routeros.text import clean

MARKER = "TMINUS-END-0123456789abcdef"
V7 = """\
# 2026-11-05 12:16:16 by RouterOS 7.20.8
# software id = ABCD-EFGH
#
# model = RB5009UPr+S+
# serial number = HCQ08FX50J7
/interface bridge
add name=bridge
/ip firewall filter
add action=accept chain=input comment="a long comment that the router wraps be\\
    cause it is long" connection-state=established,related
/system script
add name=path source="C:\\\\\\\\" comment=done
/system identity
set name=edge
"""
V6 = V7.replace("# 2026-11-05 12:16:16 by RouterOS 7.20.8", "# nov/05/2026 12:16:16 by RouterOS 6.49.10")


def answer(export: str, marker: str = MARKER) -> bytes:
    return (export + marker + "\n").replace("\n", "\r\n").encode()


def read(export: str) -> Export:
    found = read_export(answer(export), MARKER)
    assert isinstance(found, Export), found
    return found


@pytest.mark.parametrize(
    "header",
    [
        "# nov/14/2022 17:12:03 by RouterOS 6.49.7",
        "# aug/13/2022 21:34:26 by RouterOS 7.4",
        "# 2023-06-01 12:16:16 by RouterOS 7.10rc1",
        "# 2024-10-25 12:09:43 by RouterOS 7.15.2",
        "# jan/02/1970 00:12:03 by RouterOS 6.49.10",
    ],
)
def test_each_form_of_the_header_is_read(header: str) -> None:
    found = read("\n".join([header, *V7.split("\n")[1:]]))
    assert (found.header, found.sha256) == (header, read(V7).sha256)


def test_a_whole_export_is_read() -> None:
    found = read(V7)
    assert found.header == "# 2026-11-05 12:16:16 by RouterOS 7.20.8"
    assert (found.serial, found.model) == ("HCQ08FX50J7", "RB5009UPr+S+")
    assert found.raw_bytes == len(answer(V7))
    assert found.sha256 == hashlib.sha256(found.text.encode()).digest()
    assert found.text.split("\n") == [
        "# software id = ABCD-EFGH",
        "#",
        "# model = RB5009UPr+S+",
        "# serial number = HCQ08FX50J7",
        "/interface bridge",
        "add name=bridge",
        "/ip firewall filter",
        V7.split("\n")[8].removesuffix("be\\") + 'because it is long" connection-state=established,related',
        "/system script",
        'add name=path source="C:\\\\\\\\" comment=done',
        "/system identity",
        "set name=edge",
        "",
    ]


@pytest.mark.parametrize(
    "greeting", ["Authorized access only!\n\n", "#\n", "10:11:12 echo: system,error,critical login failure\n"]
)
def test_what_a_router_shows_to_everybody_is_no_part_of_its_export(greeting: str) -> None:
    assert read(greeting + V7).text == read(V7).text
    assert read(greeting + V7).header == read(V7).header


def test_a_virtual_router_has_no_serial_number_and_no_model() -> None:
    found = read("# 2026-11-05 12:16:16 by RouterOS 7.20.8\n# software id = \n#\n/system identity\nset name=chr\n")
    assert (found.serial, found.model) == (None, None)


@pytest.mark.parametrize("export", [V7, V6])
@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_cut_at_any_byte_it_is_not_whole(export: str, end: str) -> None:
    whole = (export + MARKER).replace("\n", end).encode()
    assert isinstance(read_export(whole, MARKER), Export)
    for length in range(len(whole)):
        assert isinstance(read_export(whole[:length], MARKER), Incomplete), whole[:length][-40:]


@given(st.integers(0, len(V7)), st.integers(1, 40))
def test_without_its_beginning_it_is_not_whole(cut: int, more: int) -> None:
    assert isinstance(read_export(answer(V7[min(cut + more, len(V7)) :]), MARKER), Incomplete)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (answer(V7, "TMINUS-END-ffffffffffffffff"), "before its end marker"),
        (answer(V7) + b"set name=more\r\n", "before its end marker"),
        (answer(V7.rstrip("\n")), "before its end marker"),  # the marker does not stand on a line of its own
        (answer(V7, f"x {MARKER}"), "before its end marker"),
        (answer(V7, f':put ("TMINUS-END-" . "{MARKER[-16:]}")'), "before its end marker"),
        (answer("a line\n" * 100 + V7), "header"),
        (answer(V7 + "add comment=more \\\n"), "within a line that goes on"),
        (answer(""), "header"),
        (answer("\n\n"), "header"),
        (answer("bad command name export (line 1 column 2)\n"), "header"),
        (b"", "before its end marker"),
        (b"not enough permissions (9)\r\n", "not enough permissions"),
        (answer(V7 + "#interrupted\n"), "#interrupted"),
        (
            answer(V7.replace("/system identity", "#error exporting /ip socks\n/system identity")),
            "#error exporting /ip socks",
        ),
        (answer(V7 + '#error exporting "/system/routerboard/mode-button"\n'), "mode-button"),
        (answer(V7 + '#error exporting "/interface/lte" (timeout)\n'), "timeout"),
        (answer(V7 + "# error exporting /ip socks\n"), "error exporting"),
        (answer(V7 + "failure: timeout\n"), "failure: timeout"),
        (answer(V7 + "action timed out - try again (13)\n\n"), "action timed out"),
        (answer(V7 + "interrupted\n"), "interrupted"),
        (answer(V7 + "expected end of command (line 1 column 9)\n"), "expected end of command"),
        (answer(V7 + "std failure: timeout\n"), "std failure"),
    ],
)
def test_what_is_not_whole_says_why(wrong: bytes, why: str) -> None:
    found = read_export(wrong, MARKER)
    assert isinstance(found, Incomplete)
    assert why in found.why
    assert "\n" not in found.why


@pytest.mark.parametrize(
    "line",
    [
        'add comment="#error exporting is only a word here"',
        "    #interrupted",  # the rest of a wrapped line
        'set note="failure: (line 1 column 2)"',
        "# inactivated, not allowed by device-mode",
    ],
)
def test_a_configuration_may_hold_the_words_of_an_error(line: str) -> None:
    read(V7 + "/system note\n" + line + "\n")


@pytest.mark.parametrize(
    "changed",
    [
        V7.replace("2026-11-05 12:16:16", "2027-01-01 00:00:00"),
        V6,
        V7.replace("\n", "   \n"),
        "\n" + V7 + "\n\n",
        V7.replace("add name=bridge", "# inactive time\nadd name=bridge"),
        V7.replace("add name=bridge", "# received packet from 192.0.2.7 bad format\nadd name=bridge"),
        V7.replace("add name=bridge", "# poe-out status: short_circuit\nadd name=bridge"),
        V7.replace("add name=bridge", "# ether1 not ready\nadd name=bridge"),
        V7 + "# Firmware upgraded successfully, please reboot for changes to take effect!\n",
        V7 + "# wlan1: please restart the device in order to apply the new setting\n",
        V7.replace("be\\\n    cause", "because"),
        V7.replace("be\\\n    cause", "b\\\n    ecau\\\n    se"),
    ],
)
def test_the_same_configuration_has_the_same_sha256(changed: str) -> None:
    assert read(changed).sha256 == read(V7).sha256


@pytest.mark.parametrize(
    "changed",
    [
        V7.replace("name=edge", "name=edge2"),
        V7.replace("HCQ08FX50J7", "HCQ08FX50J8"),
        V7.replace("add name=bridge", "# inactivated, not allowed by device-mode\nadd name=bridge"),
        V7.replace("/interface bridge\nadd name=bridge\n", ""),
        V7.replace("C:\\\\\\\\", "C:\\\\"),
    ],
)
def test_another_configuration_has_another_sha256(changed: str) -> None:
    assert read(changed).sha256 != read(V7).sha256


@given(st.text(st.characters(codec="ascii", exclude_characters='\\"\n\r', min_codepoint=33), min_size=2), st.data())
def test_where_a_line_is_wrapped_is_no_matter(line: str, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(line) - 1))
    one, two = f"set name=x{line}\n", f"set name=x{line[:cut]}\\\n    {line[cut:]}\n"
    assert read(V7 + one).text == read(V7 + two).text


def test_an_escaped_backslash_at_the_end_of_a_line_does_not_wrap_it() -> None:
    found = read(V7 + "set name=a\\\\\nset name=b\\\\\\\n    c\n")
    assert found.text.endswith("set name=a\\\\\nset name=b\\\\c\n")


def test_hostile_bytes_in_an_export_become_safe_text() -> None:
    found = read_export(answer(V7).replace(b"name=edge", b"name=\x1b[2J\x00\xff\xe2\x80\xae"), MARKER)
    assert isinstance(found, Export)
    assert found.text.endswith("set name=\ufffd\n")


@pytest.mark.parametrize("line", ["a\\\n", "\\\n", "#\n", "# ether1\n", "\n", "x" * 100 + "\n", "#error  exportin\n"])
def test_an_export_of_many_megabytes_takes_seconds_at_most(line: str) -> None:
    export = answer(V7 + line * (4_000_000 // len(line)) + "set name=x\n")
    begin = time.process_time()
    read_export(export, MARKER)
    assert time.process_time() - begin < 10.0


@given(st.binary(max_size=300))
def test_reading_never_raises(data: bytes) -> None:
    read_export(data, MARKER)
    read_export(b"# 2023-06-01 12:16:16 by RouterOS 7.10rc1\n" + data + b"\n" + MARKER.encode(), MARKER)


_LINES = (
    "add name=a", "add name=b comment=x", "set password=hunter2 name=c", "secret=*****", "/ip address", "/snmp community",
    "add name=pub", "/user", "# ether1 not ready", "# a comment", "#error exporting /ip", "10:11:12 echo: system,error boom", "add x=\\",
    "    y=2", "add z=\\\\", "blanks  ", "\ttab\t", "", "-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
    "-----END PRIVATE KEY-----", "failure: no such item", "f\xfcr", "a\rb", "# serial number = HCQ08FX50J8", "\x1b[31mred",
)  # fmt: skip
_BODY = st.lists(st.sampled_from(_LINES), max_size=8)


def _export_of(body: list[str], second: int) -> bytes:
    comments = [f"# {n}" for n in range(11)]
    return answer(
        "\n".join([f"# 2026-11-05 12:16:{second} by RouterOS 7.20.8", *comments, *body, "/end", "set x=y", ""])
    )


@given(_BODY, _BODY, _BODY, _BODY)
def test_an_export_is_read_the_same_by_what_differs_from_the_one_before(
    begin: list[str], before: list[str], after: list[str], end: list[str]
) -> None:
    like = read_export(_export_of([*begin, *before, *end], 10), MARKER)
    output = _export_of([*begin, *after, *end], 20)
    if isinstance(like, Export):
        assert read_export(output, MARKER, like=like) == read_export(output, MARKER)


@pytest.mark.parametrize(
    ("begin", "before", "after", "end"),
    [
        ([], [], ["/snmp community"], ["add name=a", "add name=pub", "/ip address"]),
        (
            [],
            [],
            ["-----BEGIN PRIVATE KEY-----"],
            ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASD"],
        ),
        (["/snmp community"], [], ["add name=pub"], ["add name=*****", "/ip address"]),
        ([], [], ["#error exporting /ip"], ["/ip address"]),
        ([], [], ["add x=\\", "#error exporting /ip"], ["/ip address"]),
        ([], [], ["# ether1 not ready"], ["/ip address"]),
        ([], [], ["10:11:12 echo: system,error boom"], ["/ip address"]),
        ([], [], ["add x=\\ ", "    y=2"], ["/ip address"]),
        (
            ["-----BEGIN PRIVATE KEY-----"],
            ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASC"],
            ["MIIEvQIBADANBgkqhkiG9w0BAQEFAASD"],
            ["-----END PRIVATE KEY-----", "/ip address"],
        ),
        (
            [],
            [],
            ["-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "-----END PRIVATE KEY-----"],
            ["/ip address"],
        ),
        ([], ["set password=hunter2"], ["set password=hunter3"], ["/ip address"]),
    ],
)
def test_what_depends_on_other_lines_is_read_with_them(
    begin: list[str], before: list[str], after: list[str], end: list[str]
) -> None:
    like = read_export(_export_of([*begin, *before, *end], 10), MARKER)
    output = _export_of([*begin, *after, *end], 20)
    assert isinstance(like, Export)
    assert read_export(output, MARKER, like=like) == read_export(output, MARKER)


@pytest.mark.parametrize("last", [b"failure: no such item", b"add x=\\"])
@pytest.mark.parametrize("before_it", [b"set x=y\r\n", b""])
def test_a_last_line_that_is_new_says_whether_it_is_whole(last: bytes, before_it: bytes) -> None:
    like = read_export(_export_of([], 10), MARKER)
    assert isinstance(like, Export)
    output = _export_of([], 20).replace(b"set x=y\r\n", before_it + last + b"\r\n")
    assert isinstance(read_export(output, MARKER, like=like), Incomplete)


def test_of_an_export_like_the_one_before_only_what_differs_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [f"add address=10.0.{n // 250}.{n % 250}/32" for n in range(1000)]
    like = read_export(_export_of(["/ip address", *rows], 10), MARKER)
    assert isinstance(like, Export)
    read: list[str] = []
    monkeypatch.setattr(export, "clean", lambda text, **options: read.append(text) or clean(text, **options))
    found = read_export(
        _export_of(["/ip address", *rows[:500], "add address=1.1.1.1 secret=hunter2", *rows[500:]], 20),
        MARKER,
        like=like,
    )
    assert isinstance(found, Export)
    assert "add address=1.1.1.1 secret=*****\n" in found.text
    assert len(read) == 1
    assert read[0].count("\n") == 2

"""The pure parts of a terminal: login names, prompts, open brackets, and keys out of bytes."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.simulator.network.keyboard import F1, UP, Keyboard
from tminus.simulator.terminal import Brackets, LoginName, banner, prompt
from tminus.simulator.versions import Version

SEVEN, SIX = Version.parse("7.24.4"), Version.parse("6.49.10")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("admin", LoginName(user="admin")),
        ("admin+", LoginName(user="admin")),
        ("admin+ct80w", LoginName(user="admin", colours=False, probes=False, width=80)),
        ("admin+cte200w", LoginName(user="admin", colours=False, probes=False, dumb=True, width=200)),
        ("admin+ct511w4098h", LoginName(user="admin", colours=False, probes=False, width=511, height=4098)),
        ("a.b@c+80w+c", LoginName(user="a.b@c", colours=False, width=80)),
        ("admin+wz9", LoginName(user="admin")),
    ],
)
def test_login_names(text: str, name: LoginName) -> None:
    assert LoginName.parse(text) == name


@pytest.mark.parametrize(
    ("menu", "version", "safe", "text"),
    [
        ((), SEVEN, None, "[admin@MikroTik] > "),
        (("ip", "address"), SEVEN, None, "[admin@MikroTik] /ip/address> "),
        (("ip", "address"), SIX, None, "[admin@MikroTik] /ip address> "),
        ((), SEVEN, " ", "[admin@MikroTik] <SAFE> "),
        (("ip", "route"), SIX, " > ", "[admin@MikroTik] /ip route<SAFE> > "),
    ],
)
def test_prompts(menu: tuple[str, ...], version: Version, safe: str | None, text: str) -> None:
    assert prompt("admin", "MikroTik", menu, version, safe=safe) == text


def test_the_banner_names_the_version_and_the_help_of_its_time() -> None:
    assert "MikroTik RouterOS 7.24.4 (c) 1999-2026       https://www.mikrotik.com/\n" in banner(SEVEN)
    assert banner(SEVEN).endswith("\nPress F1 for help\n")
    assert "[?]             Gives the list" in banner(SIX)


def open_bracket(text: str) -> str | None:
    brackets = Brackets()
    for line in text.split("\n"):
        brackets.feed(line)
    return brackets.open


@pytest.mark.parametrize(
    ("text", "open_one"),
    [
        ("", None),
        ("/ip address print", None),
        ("{", "{"),
        ("{ :put 1", "{"),
        ("{ :put 1\n}", None),
        (":if (1) do={ :put [", "["),
        (":put (1 +", None),
        (":put (1 + [", "["),
        (':put "abc', '"'),
        (':put "a\\"bc', '"'),
        (':put "a{b"', None),
        (':put "$[:len ', "["),
        (':put "$(1 + "a', '"'),
        (':put "$[:len "x"] "', None),
        ("add \\", "\\"),
        ("add \\\nname=x", None),
        ("# { is a comment", None),
        ("{ # [ is one too\n", "{"),
        (":put a#{", "{"),
        ("}", None),
        ("{ ]", None),
    ],
)
def test_open_brackets(text: str, open_one: str | None) -> None:
    assert open_bracket(text) == open_one


@given(st.text(alphabet='{}[]()"\\#$;\n ax', max_size=200))
def test_any_text_has_an_answer(text: str) -> None:
    assert open_bracket(text) in (None, "{", "[", '"', "\\")


async def pressed(*chunks: bytes) -> list[bytes]:
    left = iter([*chunks, b""])

    async def read() -> bytes:
        await asyncio.sleep(0)
        return next(left)

    keyboard = Keyboard(read)
    pump = asyncio.create_task(keyboard.pump())
    keys = []
    while key := await keyboard.key():
        keys.append(key)
    await pump
    return keys


async def test_escape_sequences_are_one_key_however_they_arrive() -> None:
    assert await pressed(b"a\x1b[Ab") == [b"a", UP, b"b"]
    assert await pressed(b"\x1b", b"[", b"A") == [UP]
    assert await pressed(b"\x1bOP\x1b[11~") == [F1, F1]
    assert await pressed(b"\x1b[200~x") == [b"\x1b[200~", b"x"]
    assert await pressed(b"\xc3\xa9") == [b"\xc3", b"\xa9"]
    assert await pressed(b"x\x1b") == [b"x", b"\x1b"]


@given(st.lists(st.binary(min_size=1, max_size=20), max_size=10))
def test_no_byte_is_lost(chunks: list[bytes]) -> None:
    keys = asyncio.run(pressed(*chunks))
    same = {b"\x1b[11~": F1, b"\x1bOA": UP}
    assert len(keys) <= len(b"".join(chunks))
    if not any(name in b"".join(chunks) for name in (*same, b"\x1b[14~", b"\x1bOB")):
        assert b"".join(keys) == b"".join(chunks)


async def test_ctrl_c_under_a_command_drops_what_was_typed_ahead() -> None:
    fed: asyncio.Queue[bytes] = asyncio.Queue()
    keyboard = Keyboard(fed.get)
    stops: list[str] = []
    keyboard.interrupted = lambda: stops.append("stopped")
    pump = asyncio.create_task(keyboard.pump())
    fed.put_nowait(b"ahead")
    fed.put_nowait(b"more\x03kept")
    fed.put_nowait(b"")
    await pump
    assert stops == ["stopped"]
    assert [await keyboard.key() for _ in range(5)] == [b"k", b"e", b"p", b"t", b""]

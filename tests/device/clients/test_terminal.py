"""Terminals of simulated routers: what a person at the keyboard sees."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest

from tests.device.clients.typing import terminal
from tests.device.simulator.client import SITE, connected, one, run, upload
from tminus.simulator import Behaviour, ChannelEnd, Kind, Setup

PROMPT = b"[tminus@a] > "


async def test_logo_prompt_twice_echo_and_repaint_as_they_were_captured() -> None:
    async with one(version="6.49.10") as fleet, terminal(fleet) as screen:
        blanks = b" " * (119 - len(PROMPT))
        hello = await screen.until(blanks + b"\r" + PROMPT)
        assert b"\r\n  MikroTik RouterOS 6.49.10 (c) 1999-2023       http://www.mikrotik.com/\r\n" in hello
        assert hello.endswith(
            b"/command        Use command at the base level\r\n\r\r\r\r" + PROMPT + blanks + b"\r" + PROMPT
        )
        screen.type(b"/")
        shown = await screen.until(b"\x1b[K\r" + PROMPT + b"/")
        assert shown == b"/\r\r" + PROMPT + b"/" + blanks[1:] + b"\x1b[K\r" + PROMPT + b"/"
        screen.type(b"\r")
        assert await screen.until(b"\r\n") == b"\r" + PROMPT + b"/\x1b[K\r\n"


async def test_lines_are_run_by_the_console_of_exec_and_keep_the_menu() -> None:
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        assert await screen.run(b"/ip/address", b"/ip/address> ") == b""
        assert await screen.run(b":put [get 0 address]", b"/ip/address> ") == b"192.168.88.1/24\n"
        assert await screen.run(b"nonsense", b"/ip/address> ") == b"bad command name nonsense (line 1 column 1)\n"
        error = await screen.run(b"add address=10.0.0.1/24 interface=no", b"/ip/address> ")
        assert error == b"input does not match any value of interface (/ip/address/add (interface); line 1)\n"
        assert await screen.run(b"..", b"/ip> ") == b""
        assert await screen.run(b"/", PROMPT) == b""
        assert await screen.run(b":global x 5", PROMPT) == b""
        assert await screen.run(b":put ($x + 1)", PROMPT) == b"6\n"
        assert await screen.run(b":local y 5", PROMPT) == b""
        # Each line is a scope of its own.
        assert await screen.run(b":put $y", PROMPT) == b"syntax error (line 1 column 7)\n"
        assert await screen.run(b':put "y=$y"', PROMPT) == b"y=\n"
        assert await screen.run(b":foreach k,v in={a=1} do={ :put ($k . $v . $x) }", PROMPT) == b"a15\n"
        assert await screen.run(b":global f do={ :return ($1 . $named) }; :put [$f 1 named=2]", PROMPT) == b"12\n"
        assert await screen.run(b"/system script add name=s source={ :put $later }", PROMPT) == b""


async def test_an_import_says_what_it_opens() -> None:
    async with one() as fleet, terminal(fleet) as screen, connected(fleet) as other:
        await upload(other, "address.rsc", b"/ip address add address=10.9.0.1/24 interface=bridge\n")
        await screen.until(PROMPT)
        shown = await screen.run(b"import address.rsc")
        assert shown == b"Opening script file address.rsc\n\nScript file loaded and executed successfully\n"


@pytest.mark.parametrize("opening", [b"{", b":put [", b':put "', b":put \\"])
async def test_open_brackets_ask_for_more(opening: bytes) -> None:
    closing = {b"{": b":put 5\r}\r", b"[": b":len abcde]\r", b'"': b'5"\r', b"\\": b"5\r"}[opening[-1:]]
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(opening + b"\r")
        await screen.until(opening[-1:] + b"... ")
        screen.type(closing)
        assert b"5\r\n" in await screen.until(b"\r\r\r\r\x1b[9999B" + PROMPT)
        [typed] = fleet.journal.events(SITE, Kind.TYPED)
        assert str(typed.facts["command"]).startswith(opening.decode() + "\n")


async def test_ctrl_c_gives_up_a_line_and_stops_a_command() -> None:
    async with one(behaviour=Behaviour(says_interrupted=True)) as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(b"{\r/system reboot\x03")
        await screen.until(b"\r\n\r\r\r\r\x1b[9999B" + PROMPT)
        screen.type(b":put before; :delay 1h; :put after\r")
        await screen.until(b"before\r\n")
        screen.type(b"typed ahead\r\x03")
        shown = await screen.until(b"\r\r\r\r")
        assert shown == b"interrupted\r\n\r\r\r\r"
        assert await screen.run(b":put still") == b"still\n"
        assert not fleet.journal.events(SITE, Kind.REBOOT)


async def test_a_signal_of_the_client_is_ctrl_c() -> None:
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(b":put before; :delay 1h\r")
        await screen.until(b"before\r\n")
        screen.process.send_signal("INT")
        await screen.until(b"\r\r\r\r\x1b[9999B" + PROMPT)


@pytest.mark.parametrize("keys", [b"/quit\r", b"\x04", b"quit\r\n"])
async def test_quit_and_ctrl_d_end_the_session(keys: bytes) -> None:
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(keys)
        assert await screen.ended() == 0


async def test_a_shell_that_ends_stops_its_command_as_the_switch_says() -> None:
    for survives in (False, True):
        async with one(behaviour=Behaviour(foreground_survives_close=survives)) as fleet:
            async with terminal(fleet) as screen:
                await screen.until(PROMPT)
                screen.type(b":put on; :delay 300ms; /interface bridge add name=br8\r")
                await screen.until(b"on\r\n")
            if survives:
                async with asyncio.timeout(10):
                    await fleet.journal.wait(SITE, Kind.CHANGED)
            else:
                async with connected(fleet) as other:
                    await run(other, ":delay 500ms")
            assert ("br8" in fleet.export(SITE)) is survives


async def test_line_ends_backspace_and_history() -> None:
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(b":put 1\n")  # a line feed alone is Enter
        await screen.until(b"\n\r1\r\n")
        screen.type(b":put 23\x7f\x087\r\n")
        await screen.until(b"\n\r7\r\n")
        screen.type(b"\x1b[A\x1b[A\r")
        await screen.until(b"\n\r1\r\n")
        screen.type(b"\x1b[A\x1b[B\t:put 9\r")
        await screen.until(b"\n\r9\r\n")
        commands = [event.facts["command"] for event in fleet.journal.events(SITE, Kind.TYPED)]
        assert commands == [":put 1", ":put 7", ":put 1", ":put 9"]


@pytest.mark.parametrize(("version", "key"), [("6.49.10", b"?"), ("7.24.4", b"\x1bOP")])
async def test_help_lists_the_menu(version: str, key: bytes) -> None:
    async with one(version=version) as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(b"/ip\r")
        await screen.until(b"/ip> ")
        screen.type(key)
        shown = await screen.until(b"service\r\n")
        assert b"address\r\n" in shown


async def test_before_the_prompt_licence_key_and_password_are_asked() -> None:
    asks = Behaviour(terminal_asks_license=True, terminal_is_unlicensed=True, terminal_asks_password=True)
    async with one(behaviour=asks, setup=Setup(password_login=True)) as fleet:
        async with terminal(fleet, client_keys=None, password=fleet.spec.password) as screen:
            await screen.until(b"Do you want to see the software license? [Y/n]: ")
            screen.type(b"n")
            await screen.until(b'Please press "Enter" to continue!')
            screen.type(b"\r")
            nag = await screen.until(b"new password> \rnew password> ")
            assert b"Change your password (Ctrl-C to skip)\r\n" in nag
            screen.type(b"\x03")
            await screen.until(PROMPT)
        async with terminal(fleet, client_keys=None, password=fleet.spec.password) as screen:
            screen.type(b"n\r")
            await screen.until(b"new password> \rnew password> ")
            screen.type(b"better\r")
            await screen.until(b"repeat new password> ")
            screen.type(b"better\r")
            await screen.until(PROMPT)
            assert b"better" not in screen.all
        with pytest.raises(asyncssh.PermissionDenied):
            async with terminal(fleet, client_keys=None, password=fleet.spec.password):
                pass
        async with terminal(fleet, client_keys=None, password="better"):
            pass


async def test_a_terminal_is_probed_unless_its_user_says_not_to() -> None:
    async with one(behaviour=Behaviour(terminal_probe_wait_s=5)) as fleet:
        async with terminal(fleet, "+c") as screen:
            await screen.until(b"\x1b[H\x1b[9999C\x1b[6n")
            screen.type(b"\x1b[1;30R")
            await screen.until(b" \x1b[6n")
            screen.type(b"\x1b[2;1R")
            shown = await screen.until(b"\r" + PROMPT)
            assert PROMPT + b" " * (29 - len(PROMPT)) + b"\r" in shown
        async with terminal(fleet, "+ct") as screen:
            await screen.until(PROMPT)
            assert b"\x1b[6n" not in screen.all
    async with (
        one(version="6.49.10", behaviour=Behaviour(terminal_probe_wait_s=5)) as fleet,
        terminal(fleet, "") as screen,
    ):
        await screen.until(b"\x1bZ  \x1b[6n")
        screen.type(b"\x1b[1;80R")
        await screen.until(PROMPT)


@pytest.mark.parametrize("hides", [False, True])
async def test_a_terminal_that_answers_no_probe(hides: bool) -> None:
    async with (
        one(behaviour=Behaviour(terminal_probe_wait_s=0.05, terminal_hides_without_probe=hides)) as fleet,
        terminal(fleet, "+c") as screen,
    ):
        await screen.until(PROMPT)
        assert await screen.run(b":put seen") == (b"" if hides else b"seen\n")


async def test_colours_and_escapes_go_by_the_login_name() -> None:
    async with one() as fleet:
        async with terminal(fleet, "+t") as screen:
            await screen.until(PROMPT)
            screen.type(b":put 1\r")
            await screen.until(b"\x1b[36m:put 1\x1b[m")
        async with terminal(fleet, "+cte60w") as screen:
            await screen.until(PROMPT + b" " * (59 - len(PROMPT)) + b"\r" + PROMPT)
            screen.type(b":put 1\r")
            await screen.until(b"\n\r1\r\n")
            assert b"\x1b" not in screen.all


async def test_print_stops_at_the_end_of_the_screen() -> None:
    lines = b':for i from=1 to=30 do={/ip firewall address-list add list=x address="10.7.0.$i"}\r'
    pager = b"-- [Q quit|D dump|down]"
    async with one() as fleet, terminal(fleet, size=(120, 10)) as screen:
        await screen.until(PROMPT)
        screen.type(lines)
        await screen.until(b"\r\r\r\r\x1b[9999B" + PROMPT)
        look = b"/ip firewall address-list print"
        screen.type(look + b"\r")
        first = await screen.until(pager)
        assert b"10.7.0.1 " in first
        assert b"10.7.0.9 " not in first
        screen.type(b" ")
        assert b"10.7.0.9 " in await screen.until(pager)
        screen.type(b"q")
        await screen.until(b"\r\r\r\r\x1b[9999B" + PROMPT)
        screen.type(look + b"\r")
        await screen.until(pager)
        screen.type(b"d")
        assert b"10.7.0.30\r\n" in await screen.until(b"\r\r\r\r\x1b[9999B" + PROMPT)
        assert pager not in await screen.run(look + b" without-paging")
        screen.process.change_terminal_size(120, 100)
        assert pager not in await screen.run(look)


async def test_failed_logins_are_told_to_every_terminal_when_it_is_idle() -> None:
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        for _ in range(2):
            with pytest.raises(asyncssh.PermissionDenied):
                async with connected(fleet, username="nobody"):
                    pass
            shown = await screen.until(b"via ssh\x1b[K\r\n\r\r\r\r\x1b[9999B" + PROMPT)
            assert b" echo: system,error,critical login failure for user nobody from 127.0.0.1 via ssh" in shown
        screen.type(b":put busy; :delay 1h\r")
        await screen.until(b"busy\r\n")
        with pytest.raises(asyncssh.PermissionDenied):
            async with connected(fleet, username="nobody"):
                pass
        screen.type(b"\x03")
        shown = await screen.until(PROMPT)
        assert b" echo: system,error,critical login failure" in shown


# --- safe mode


ADD = b"/interface bridge add name=br8"
SAFE = b"[tminus@a] <SAFE> "


@pytest.mark.parametrize(
    ("keys", "stays"), [(b"\x18\x04", True), (b"\x04", False), (b"/quit\r", True), (None, False)],
    ids=["released", "ctrl-d", "quit", "connection lost"],
)  # fmt: skip
async def test_safe_mode_undoes_what_was_changed_unless_it_is_released(keys: bytes | None, stays: bool) -> None:
    async with one() as fleet:
        before = fleet.export(SITE)
        async with terminal(fleet) as screen:
            await screen.until(PROMPT)
            screen.type(b"\x18")
            await screen.until(b"[Safe Mode taken]\r\n")
            await screen.until(SAFE)
            await screen.run(ADD, SAFE)
            assert "br8" in fleet.export(SITE)
            if keys is not None:
                screen.type(keys)
                assert await screen.ended() == 0
        if not stays:
            async with asyncio.timeout(10):
                await fleet.journal.wait(SITE, Kind.UNROLLED)
        assert (fleet.export(SITE) == before) is not stays


@pytest.mark.parametrize(("answer", "stays", "taken"), [(b"u", False, True), (b"r", True, True), (b"d", True, False)])
async def test_a_second_taker_of_safe_mode_is_asked(answer: bytes, stays: bool, taken: bool) -> None:
    async with one() as fleet, terminal(fleet) as first, terminal(fleet) as second:
        await first.until(PROMPT)
        await second.until(PROMPT)
        first.type(b"\x18")
        await first.until(SAFE)
        await first.run(ADD, SAFE)
        second.type(b"\x18")
        await second.until(b"Hijacking Safe Mode from someone - unroll/release/don't take it [u/r/d]: ")
        second.type(answer)
        await second.until(SAFE if taken else PROMPT)
        assert ("br8" in fleet.export(SITE)) is stays
        await first.run(b":put 1", PROMPT if taken else SAFE)


async def test_more_than_100_actions_end_safe_mode_without_a_word() -> None:
    many = b':for i from=1 to=101 do={/ip firewall address-list add list=x address="10.7.0.$i"}'
    async with one() as fleet:
        async with terminal(fleet) as screen:
            await screen.until(PROMPT)
            screen.type(b"\x18")
            await screen.until(SAFE)
            await screen.run(many, PROMPT)
            screen.type(b"\x04")
            await screen.ended()
        assert "10.7.0.101" in fleet.export(SITE)
        assert not fleet.journal.events(SITE, Kind.UNROLLED)


# --- what goes wrong


@pytest.mark.parametrize("end", [ChannelEnd.STATUS_0, ChannelEnd.NO_STATUS])
async def test_a_reboot_ends_the_terminal(end: ChannelEnd) -> None:
    async with one(behaviour=Behaviour(reboot_ends_channel=end, reboot_down_s=0.1)) as fleet:
        async with terminal(fleet) as screen:
            await screen.until(PROMPT)
            screen.type(b"/system reboot\r")
            await screen.until(b"Reboot, yes? [y/N]: ")
            screen.type(b"y")
            assert await screen.ended() == (0 if end is ChannelEnd.STATUS_0 else None)
        assert fleet.journal.events(SITE, Kind.REBOOT)


async def test_hostile_input_ends_nothing() -> None:
    async with one() as fleet, terminal(fleet) as screen:
        await screen.until(PROMPT)
        screen.type(bytes(range(256)).replace(b"\x03", b"").replace(b"\x04", b"") * 3 + b"\x03\x03d\x03")
        screen.type(b"x" * 100_000 + b"\x03")
        screen.type(b":put alive\r")
        await screen.until(b"\n\ralive\r\n", within=100)

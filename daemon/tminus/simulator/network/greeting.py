"""What an interactive login shows and asks before its first prompt: licence, logo, notes, probes, a new password."""

from __future__ import annotations

from tminus.simulator import terminal
from tminus.simulator.config.menus import BY_PATH
from tminus.simulator.router import Router
from tminus.simulator.terminal import LoginName

from .keyboard import CTRL_C, CTRL_D, Keyboard
from .screen import Screen

CRITICAL = "critical"  # lines of this topic go to every terminal: a rule that routers come with
_SHOWN = 5  # critical lines of the log
_MAX_PASSWORD = 1024
_ENTER = (b"\r", b"\n")


async def greet(router: Router, login: LoginName, screen: Screen, keys: Keyboard) -> None:
    """Gone if the client leaves meanwhile."""
    switches = router.behaviour
    if switches.terminal_asks_license:
        screen.write(f"\n{terminal.LICENSE}")
        answer = await keys.answer()
        screen.write("\n")
        if answer.lower() in (b"y", *_ENTER):
            screen.write("The licence of RouterOS is not part of the simulator.\n")
    screen.write(terminal.banner(router.version))
    if switches.terminal_is_unlicensed:
        screen.write(f"\n{terminal.UNLICENSED}\n")
        while await keys.answer() not in _ENTER:
            pass
    screen.write(_messages(router))
    if login.probes and not login.dumb:
        answered = await _probe(router, screen, keys)
        screen.hidden = not answered and switches.terminal_hides_without_probe
    if switches.terminal_asks_password:
        await _ask_password(router, login, screen, keys)


def _messages(router: Router) -> str:
    note = router.config.single(("system", "note")).values
    shown = [f"{note['note']}\n"] if note.get("note") and note.get("show-at-login", "yes") == "yes" else []
    critical = [line for line in router.log if CRITICAL in line.topics.split(",")][-_SHOWN:]
    shown += [f"{router.version.stamp(line.moment)} {line.topics} {line.message}\n" for line in critical]
    return "".join(shown)


async def _probe(router: Router, screen: Screen, keys: Keyboard) -> bool:
    """Ask the terminal where its right edge is; whether it answered."""
    wait = router.behaviour.terminal_probe_wait_s
    if router.version.legacy:
        screen.raw("\x1bZ  \x1b[6n")
        return await keys.report(wait) is not None
    screen.raw("\x1b[H\x1b[9999C\x1b[6n")
    column = await keys.report(wait)
    if column is None:
        return False
    screen.raw(" \x1b[6n")  # whether it wraps there
    await keys.report(wait)
    screen.resize(column, 0)
    return True


async def _ask_password(router: Router, login: LoginName, screen: Screen, keys: Keyboard) -> None:
    screen.write("\n\nChange your password" + ("" if router.version.legacy else " (Ctrl-C to skip)") + "\n")
    while True:
        screen.question(terminal.NEW_PASSWORD)
        first = await _secret(keys)
        if first is None:
            break
        screen.raw("\r\n")
        screen.question(terminal.REPEAT_PASSWORD)
        second = await _secret(keys)
        if second is None or second == first:
            if second:
                _change_password(router, login.user, second.decode("utf-8", "surrogateescape"))
            break
        screen.write("\n")
    screen.write("\n")


async def _secret(keys: Keyboard) -> bytes | None:
    """A line that is not shown; None if it was given up."""
    typed = bytearray()
    while (key := await keys.answer()) not in _ENTER:
        if key in (CTRL_C, CTRL_D):
            return None
        if key in (b"\x7f", b"\b"):
            del typed[-1:]
        elif len(key) == 1 and len(typed) < _MAX_PASSWORD:
            typed += key
    return bytes(typed)


def _change_password(router: Router, user: str, password: str) -> None:
    menu = BY_PATH[("user",)]
    for item in router.config.items(menu.path):
        if item.values.get("name") == user:
            router.config.change(menu, item, {"password": password})

"""What an interactive login looks like: the terminal's switches, the login name's options, prompts, logo, open brackets.

Pure values and functions; ``shell`` does the talking. The texts are those of public captures of terminals of RouterOS
6.49 and 7.23; what these do not settle is a field of ``Terminal``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .versions import Version

ERASE = "\x1b[K"  # to the end of the line
BOTTOM = "\x1b[9999B"
LICENSE = "Do you want to see the software license? [Y/n]: "
UNLICENSED = 'Please press "Enter" to continue!'
NEW_PASSWORD = "new password> "  # noqa: S105 - a question
REPEAT_PASSWORD = "repeat new password> "  # noqa: S105 - a question
PAGER = "-- [Q quit|D dump|down]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """How the terminal of a router behaves, where the public record shows several ways or none; and what it asks first.

    ``Behaviour`` has these switches, too.
    """

    terminal_asks_license: bool = False
    """A new router asks whether to show its licence."""

    terminal_is_unlicensed: bool = False
    """A router without a key waits for Enter."""

    terminal_asks_password: bool = False
    """A user without a password is asked for a new one; Ctrl-C skips it."""

    terminal_repaints_keys: bool = True
    """The whole line is painted again after each key (captured on 6.49, seen on 7); else keys are echoed as they come."""

    terminal_prompts_twice: bool = True
    """A prompt is painted, and painted again over itself (captured on 6.49); one capture of 7.23 has it once."""

    terminal_newline_pause_s: float = 0.03
    """How long after the answer to a carriage return the line feed behind it paints the line again, as captured on 6.49;
    0 where it is ignored."""

    terminal_pads: bool = True
    """A repaint blanks the rest of the line with as many blanks as the terminal is wide."""

    terminal_pages: bool = True
    """``print`` stops when the screen is full, unless it is told ``without-paging``."""

    terminal_probe_wait_s: float = 0.5
    """How long an answer to the probes of the terminal is waited for; not recorded."""

    terminal_hides_without_probe: bool = False
    """A terminal that answers no probe is taken for 1x1, and sees no output (seen over telnet on 7.24)."""

    terminal_safe_angle: bool = False
    """Whether ``<SAFE>`` is followed by ``>``, as clients expect of older versions; a capture of 7.23 has a blank alone."""

    terminal_pipe_prompts: bool = False
    """A shell without a terminal, as in ``ssh router < file``, prints prompts, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginName:
    """``admin+ct80w``: a user, and behind the plus how the console shall behave (documented)."""

    user: str
    colours: bool = True
    probes: bool = True
    dumb: bool = False
    width: int | None = None
    height: int | None = None

    @classmethod
    def parse(cls, text: str) -> LoginName:
        user, _, options = text.partition("+")
        name = cls(user=user)
        for number, letter in re.findall(r"(\d*)([a-z])", options):
            match letter:
                case "c":
                    name = replace(name, colours=False)
                case "t":
                    name = replace(name, probes=False)
                case "e":
                    name = replace(name, dumb=True)
                case "w" if number:
                    name = replace(name, width=int(number))
                case "h" if number:
                    name = replace(name, height=int(number))
                case _:
                    pass  # a router ignores what it does not know, as far as is known
        return name


def prompt(user: str, identity: str, menu: tuple[str, ...], version: Version, *, safe: str | None) -> str:
    """``[admin@MikroTik] /ip/address> ``; on RouterOS 6 the menu is written with blanks. ``safe`` replaces the ``> ``."""
    place = "/" + ("/" if version.slash_paths else " ").join(menu) if menu else ""
    return f"[{user}@{identity}] {place}{f'<SAFE>{safe}' if safe is not None else '> '}"


_LOGO = r"""
  MMM      MMM       KKK                          TTTTTTTTTTT      KKK
  MMMM    MMMM       KKK                          TTTTTTTTTTT      KKK
  MMM MMMM MMM  III  KKK  KKK  RRRRRR     OOOOOO      TTT     III  KKK  KKK
  MMM  MM  MMM  III  KKKKK     RRR  RRR  OOO  OOO     TTT     III  KKKKK
  MMM      MMM  III  KKK KKK   RRRRRR    OOO  OOO     TTT     III  KKK KKK
  MMM      MMM  III  KKK  KKK  RRR  RRR   OOOOOO      TTT     III  KKK  KKK
"""
_OLD_HELP = """
[?]             Gives the list of available commands
command [?]     Gives help on the command and list of arguments

[Tab]           Completes the command/word. If the input is ambiguous,
                a second [Tab] gives possible options

/               Move up to base level
..              Move up one level
/command        Use command at the base level
"""


def banner(version: Version) -> str:
    """Logo, version and help, with LF line ends."""
    year = re.search(r"\d{4}", version.build_time)
    scheme = "http" if version.legacy else "https"
    head = f"\n  MikroTik RouterOS {version.text} (c) 1999-{year[0] if year else '2024'}       {scheme}://www.mikrotik.com/\n"
    return "\n" * 8 + _LOGO + head + (_OLD_HELP if version.legacy else "\nPress F1 for help\n")


class Brackets:
    r"""Which of ``{ [ ( "`` are open in lines that are fed one after the other."""

    def __init__(self) -> None:
        self._stack: list[str] = []
        self._joined = False  # the last line ended with a backslash

    @property
    def open(self) -> str | None:
        r"""The innermost of ``{ [ "``, or ``\`` where the line goes on; None if the text is whole.

        An open ``(`` asks for nothing more: an expression cannot span lines, and the parser says so.
        """
        if self._joined:
            return "\\"
        return self._stack[-1] if self._stack and self._stack[-1] != "(" else None

    def feed(self, line: str) -> None:
        """One more line, without its end."""
        stack, at = self._stack, 0
        fresh = not self._joined  # a command may begin here, and so may a comment
        self._joined = False
        while at < len(line):
            char = line[at]
            if char == "\\":
                self._joined = at + 1 == len(line)
                at += 2
                continue
            if stack and stack[-1] == '"':
                if char == '"':
                    stack.pop()
                elif char in "[(" and line[at - 1 : at] == "$":
                    stack.append(char)
            elif char == "#" and fresh:
                return
            elif char in '{[("':
                stack.append(char)
            elif char in _OPENS:
                if not stack or stack[-1] != _OPENS[char]:
                    stack.clear()  # the parser says what is wrong
                    return
                stack.pop()
            fresh = char in ";{" or (fresh and char.isspace())
            at += 1


_OPENS = {"}": "{", "]": "[", ")": "("}

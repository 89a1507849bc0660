"""Where an unknown command leads: a CHR without packages, whose names the table has, lacks menus that others have."""

from __future__ import annotations

import re
from functools import lru_cache

from tminus.routeros.language import ast
from tminus.routeros.language.names import base, complete

# Menus that a CHR lacks and hazards are told of; the console takes their abbreviations as well.
_ELSEWHERE = (
    "/caps-man/interface",
    "/interface/ethernet/switch/port",
    "/interface/ethernet/switch/rule",
    "/interface/ethernet/switch/vlan",
    "/interface/lte/apn",
    "/interface/wireless/security-profiles",
    "/interface/wifiwave2",
    "/ip/route/rule",
    "/routing/ospf/network",
    "/routing/bgp/peer",
    "/routing/bgp/network",
    "/system/routerboard/settings",
)
_ELSEWHERE_MENUS = tuple(tuple(menu.split("/")[1:]) for menu in _ELSEWHERE)
_VERBS = frozenset(
    [
        "add",
        "comment",
        "disable",
        "downgrade",
        "edit",
        "enable",
        "export",
        "find",
        "get",
        "install",
        "monitor",
        "move",
        "print",
        "remove",
        "reset",
        "scan",
        "set",
        "unset",
        "upgrade",
    ]
)


def path_of_unknown(command: ast.Command) -> tuple[tuple[str, ...], str | None, tuple[ast.Arg, ...]]:
    """Menu, verb and arguments of a command that the table of names lacks: its words as far as they look like a path."""
    words = [*command.menu, *([command.name] if command.name is not None else [])]
    args = list(command.args)
    while args and args[0].name is None:
        match args[0].value:
            case ast.Literal(text=word) if re.fullmatch(r"[a-z0-9-]+", word):
                words.append(word)
                args.pop(0)
            case _:
                break
    known = base()
    path: list[str] = []
    for number, word in enumerate(words):
        here = known.at(tuple(path))
        if here is None or word not in here.menus:
            word = complete(word, _elsewhere(tuple(path))) or word  # noqa: PLW2901
        if complete(word, _VERBS) and number and not _elsewhere((*path, word)):
            verb = complete(word, _VERBS)
            rest = [
                ast.Arg(at=command.at, name=None, value=ast.Literal(at=command.at, text=w)) for w in words[number + 1 :]
            ]
            return tuple(path), verb, (*rest, *args)
        path.append(word)
    if command.name is None or not path:
        return tuple(path), None, tuple(args)
    return tuple(path[:-1]), path[-1], tuple(args)


@lru_cache(maxsize=256)
def is_elsewhere(menu: tuple[str, ...]) -> bool:
    return any(each[: len(menu)] == menu for each in _ELSEWHERE_MENUS)


@lru_cache(maxsize=256)
def _elsewhere(path: tuple[str, ...]) -> tuple[str, ...]:
    """What lies below a path in the menus that a CHR lacks."""
    below = []
    for names in _ELSEWHERE_MENUS:
        if len(names) > len(path) and names[: len(path)] == path:
            below.append(names[len(path)])
    return tuple(dict.fromkeys(below))


@lru_cache(maxsize=1024)
def up_to_unknown(path: tuple[str, ...]) -> str:
    """The path up to the first name that is not known. What stands behind it may be anything, a secret too."""
    menu: tuple[str, ...] = ()
    for name in path:
        here = base().at(menu)
        menu = (*menu, name)
        if here is None or (name not in here.menus and name not in here.commands):
            break
    return f"/{'/'.join(menu)}"

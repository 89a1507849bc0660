"""What the commands of the simulated router take: the verbs of its menus, and the commands of the language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tminus.routeros.language import names
from tminus.simulator.config.menus import SINGLE_VIEWS, commands, find
from tminus.simulator.config.schema import Path, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a command takes: values without a name in this order, values with one, and bare words."""

    positional: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()


def _s(positional: str = "", named: str = "", flags: str = "") -> Signature:
    return Signature(
        positional=tuple(positional.split()),
        named=frozenset(named.split()) | frozenset(positional.split()),
        flags=frozenset(flags.split()),
    )


_SINGLE = frozenset({"set", "print", "get", "export", "reset"})
_FIXED = _SINGLE | {"enable", "disable", "find", "comment", "unset"}
_VERBS = {
    Shape.LIST: _FIXED | {"add", "remove", "move"},
    Shape.FIXED: _FIXED,
    Shape.SINGLE: _SINGLE,
    Shape.VIEW: frozenset({"print", "get", "find"}),
}
_PRINT = _s(
    "",
    "proplist file from interval where count",
    "detail terse brief as-value count-only value-list without-paging append show-ids stats",
)
_PRINT_SINGLE = _s("", "file interval", "as-value without-paging")
_EXPORT = _s("", "file path where", "compact verbose terse hide-sensitive show-sensitive")

BUILTINS: Mapping[str, Signature] = {
    "put": _s("message"),
    "log": _s("level message"),
    "delay": _s("delay-time"),
    "error": _s("message"),
    "if": _s("condition", "do else"),
    "for": _s("counter", "from to step do"),
    "foreach": _s("counter", "in do"),
    "while": _s("condition", "do"),
    "do": _s("command", "on-error while if"),
    "break": _s(),
    "continue": _s(),
    "onerror": _s("counter in do"),
    "retry": _s("command delay max on-error"),
    "local": _s("name value", "do"),
    "global": _s("name value", "do"),
    "set": _s("name value", "do"),
    "len": _s("value"),
    "pick": _s("counter begin end"),
    "find": _s("in key from"),
    "tostr": _s("value"),
    "tonum": _s("value"),
    "toarray": _s("value", "delimiter"),
    "tobool": _s("value"),
    "toid": _s("value"),
    "toip": _s("value"),
    "toip6": _s("value"),
    "totime": _s("value"),
    "tonsec": _s("value"),
    "tocrlf": _s("input"),
    "tolf": _s("input"),
    "typeof": _s("value"),
    "convert": _s("value", "from to transform from-scheme to-scheme transform-scheme"),
    "serialize": _s("value", "to options delimiter order file-name"),
    "deserialize": _s("value", "from options delimiter"),
    "nothing": _s(),
    "resolve": _s("domain-name", "server server-port type"),
    "rndnum": _s("from to"),
    "rndstr": _s("from length"),
    "range": _s("from to"),
    "timestamp": _s("", "", "use-tz"),
    "jobname": _s(),
    "beep": _s("", "frequency length as-value"),
    "return": _s("value"),
    "execute": _s("script", "file", "as-string"),
    "parse": _s("value"),
    "grep": _s("script pattern", "filename before after", "as-array"),
    "import": _s("file-name", "verbose from-line", "dry-run"),
    "export": _EXPORT,
    "ping": _s(
        "address", "count interface interval size src-address ttl vrf dscp", "as-value do-not-fragment arp-ping"
    ),
    "quit": _s(),
    "undo": _s(),
    "redo": _s(),
    "exit": _s(),
    "time": _s("command"),
}
"""Commands of the root menu; most are written with a colon."""

COMMANDS: Mapping[tuple[Path, str], Signature] = {
    (("system",), "reboot"): _s(),
    (("system",), "shutdown"): _s(),
    (("system", "script"), "run"): _s("number", "use-script-permissions"),
    (("environment",), "print"): _s(),
    (("system", "routerboard"), "upgrade"): _s(),
    (("log",), "debug"): _s("message"),
    (("log",), "error"): _s("message"),
    (("log",), "info"): _s("message"),
    (("log",), "warning"): _s("message"),
}
"""Commands of menus beyond the verbs that their shape gives them, where the order of unnamed values matters."""


def builtin(verb: str) -> Signature | None:
    return _with_names((), verb, BUILTINS.get(verb))


@lru_cache(maxsize=4096)
def signature(path: Path, verb: str) -> Signature | None:
    """What a command of a menu takes; None if there is no such command."""
    if (path, verb) in COMMANDS:
        return COMMANDS[path, verb]
    found = find(path)
    if verb == "export":
        return _EXPORT
    if found is not None and verb in _VERBS[found.shape]:
        return _with_names(path, verb, _verb(path, verb))
    return _with_names(path, verb, None)


def _with_names(path: Path, verb: str, ours: Signature | None) -> Signature | None:
    """Add what the parser's device takes besides; a command that only it has takes its required values without a name."""
    theirs: names.Signature | None = commands(path).get(verb)
    if theirs is None:
        return ours
    if ours is None:
        return Signature(positional=theirs.required, named=theirs.values, flags=theirs.flags)
    return Signature(
        positional=ours.positional,
        named=ours.named | (theirs.values - ours.flags),
        flags=ours.flags | theirs.flags,
    )


def _verb(path: Path, verb: str) -> Signature | None:  # noqa: PLR0912 - a branch a verb
    menu = find(path)
    if menu is None:
        return None
    writable = frozenset(field.name for field in menu.fields.values() if not field.read_only)
    single = menu.shape is Shape.SINGLE or path in SINGLE_VIEWS
    match verb:
        case "add":
            return Signature(named=writable | {"place-before", "copy-from"})
        case "set" if single:
            return Signature(named=writable)
        case "set":
            return Signature(positional=("numbers",), named=writable | {"numbers"})
        case "reset" if single:
            return Signature(named=writable)
        case "reset":
            return Signature(positional=("numbers",), named=writable | {"numbers"})
        case "get" if single:
            return _s("value-name")
        case "get":
            return _s("number value-name")
        case "unset":
            return _s("numbers value-name")
        case "print":
            return _PRINT_SINGLE if single else _PRINT
        case "find":
            return Signature(named=frozenset(menu.fields))
        case "comment":
            return _s("numbers comment")
        case "move":
            return _s("numbers destination")
        case "remove" | "enable" | "disable":
            return _s("numbers")
        case _:
            return None

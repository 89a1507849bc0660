"""What ``{ }`` means as an argument: that depends on the command and the parameter (observed on 7.23).

Only the language's own commands take arrays in braces; a menu's commands want ``({ ... })``.
"""

from __future__ import annotations

from enum import Enum, auto

_FUNCTIONS = frozenset({"local", "global", "set"})
_TAKE_CODE = frozenset({"do", "time", "retry", "onerror"})  # ... { } without a name is code
_TAKE_TEXT = frozenset({"execute", "grep"})
_CODE = frozenset({"do", "else", "on-error", "command"})  # parameters whose braces hold commands
# Commands of the language whose values may be arrays in braces, but for some parameters.
_TAKE_ARRAYS = frozenset(
    {
        "convert",
        "deserialize",
        "error",
        "find",
        "for",
        "foreach",
        "global",
        "len",
        "local",
        "parse",
        "pick",
        "put",
        "range",
        "return",
        "rndnum",
        "rndstr",
        "serialize",
        "set",
        "toarray",
        "tobool",
        "toid",
        "toip",
        "toip6",
        "tonsec",
        "tonum",
        "tostr",
        "totime",
        "typeof",
    }
)
_NO_ARRAYS = frozenset({"counter", "delimiter", "file-name", "name", "options"})


class Braces(Enum):
    ARRAY = auto()
    CODE = auto()
    FUNCTION = auto()  # code that sees no variables but its own
    TEXT = auto()  # code, kept as text
    EITHER = auto()  # of a function's argument we don't know: code if it begins like a command
    REFUSED = auto()


def braces_of(builtin: str, name: str | None, *, known: bool) -> Braces:
    """``builtin``: the command if it belongs to the language, else empty. ``name``: the parameter; None of a value without.

    Of a parameter that is not ``known`` all is possible.
    """
    if name is None:
        if builtin in _TAKE_CODE:
            return Braces.CODE
        if builtin in _TAKE_TEXT:
            return Braces.TEXT
    elif name in _CODE or (name == "in" and builtin == "onerror"):
        return Braces.FUNCTION if name == "do" and builtin in _FUNCTIONS else Braces.CODE
    elif name in ("script", "source") or name.startswith("on-") or name.endswith("-script"):
        return Braces.TEXT
    elif not known:
        return Braces.EITHER
    return Braces.ARRAY if builtin in _TAKE_ARRAYS and name not in _NO_ARRAYS else Braces.REFUSED

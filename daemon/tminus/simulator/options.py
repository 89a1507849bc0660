"""Switches and set-ups by name, as they are typed on a command line and documented: ``name=value``."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum, StrEnum
from typing import Any, NoReturn, TypeVar

from tminus.errors import UsageError

from .behaviour import Behaviour
from .router import Timing
from .setup import Setup

Options = TypeVar("Options", Behaviour, Setup, Timing)
_SIGNED = {"clock_ahead_s"}
_BOOLS = {"yes": True, "true": True, "no": False, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One row of the documentation."""

    name: str
    values: str
    default: str
    meaning: str


def changed(options: Options, given: Mapping[str, object]) -> Options:
    """These options with some others; values may be text. UsageError for an unknown name or a value of another kind."""
    values: dict[str, Any] = {}  # keywords of names that vary
    for name, value in given.items():
        if name not in {field.name for field in fields(options)}:
            known = ", ".join(field.name for field in fields(options))
            raise UsageError(f"there is no '{name}'; there are {known}")
        values[name] = _read(name, value, getattr(options, name))
    return replace(options, **values)


def pairs(texts: Iterable[str]) -> dict[str, object]:
    """Read ``name=value`` texts. UsageError for a text without '='."""
    found: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' gives no value; write it like name=value")
        found[name.strip().replace("-", "_")] = value.strip()
    return found


def _read(name: str, value: object, usual: object) -> object:
    """A value of the kind of ``usual``."""
    text = str(value).strip()
    try:
        match usual:
            case bool():
                return value if isinstance(value, bool) else _BOOLS[text]
            case Enum():
                return type(usual)(text)
            case tuple():
                return tuple(value if isinstance(value, list | tuple) else filter(None, text.split(",")))
            case int() | float():
                number = type(usual)(text)
                return number if number >= 0 or name in _SIGNED else _refused(name, value, usual)
            case _:
                return text
    except (KeyError, ValueError):
        return _refused(name, value, usual)


def _refused(name: str, value: object, usual: object) -> NoReturn:
    raise UsageError(f"'{value}' is no value of '{name}', which is {_values(usual)}")


def _values(usual: object) -> str:
    match usual:
        case bool():
            return "yes or no"
        case StrEnum():
            return ", ".join(type(usual))
        case tuple():
            return "words with commas between them"
        case int():
            return "a whole number"
        case float():
            return "seconds"
        case _:
            return "a word"


def _shown(value: object) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case tuple():
            return ",".join(value) or "none"
        case float():
            return f"{value:g}"
        case _:
            return str(value) or "none"


def documented(options: Behaviour | Setup) -> Iterator[Option]:
    """Every option in its order, with these values as the defaults."""
    meanings = _meanings(type(options))
    for field in fields(options):
        usual = getattr(options, field.name)
        yield Option(name=field.name, values=_values(usual), default=_shown(usual), meaning=meanings[field.name])


def _meanings(kind: type[object]) -> dict[str, str]:
    """What is written below each field in the source: Python keeps no docstrings of fields."""
    found: dict[str, str] = {}
    for one in kind.__mro__[-2::-1]:  # all but object, the last one
        found |= _own_meanings(one)
    return found


def _own_meanings(kind: type[object]) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    found: dict[str, str] = {}
    name = ""
    for node in body.body if isinstance(body, ast.ClassDef) else []:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)):
                pass
            case ast.Expr(value=ast.Constant(value=str(text))) if name:
                found[name] = " ".join(text.replace("``", "`").split())
    return found

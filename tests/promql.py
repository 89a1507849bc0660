"""Reads out of a PromQL expression which metrics it names, and which labels it expects of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Words of the language that stand where a metric could.
_WORDS = {
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "inf",
    "nan",
}
_LABEL_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_TOKEN = re.compile(
    r"""(?P<text>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')"""
    r"|(?P<duration>\[[^\]]*\])"
    r"|(?P<number>[0-9][0-9a-zA-Z.]*)"
    r"|(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r"|(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},@])"
    r"|(?P<space>\s+)"
)


@dataclass
class Used:
    """`selected`: labels in braces, by metric. `grouped`: labels by which the whole is grouped or matched."""

    selected: dict[str, set[str]] = field(default_factory=dict)
    grouped: set[str] = field(default_factory=set)


def read(expression: str) -> Used:
    """Raises ValueError for what cannot be a PromQL expression."""
    tokens = _tokens(expression)
    used = Used()
    at = 0
    while at < len(tokens):
        kind, value = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name":
            continue
        if value.lower() in _LABEL_LISTS:
            if following == "(":
                at += 1
                while tokens[at][1] != ")":
                    if tokens[at][0] == "name":
                        used.grouped.add(tokens[at][1])
                    at += 1
        elif value.lower() not in _WORDS and following != "(" and not _is_aggregation(tokens, at):
            labels = used.selected.setdefault(value, set())
            if following == "{":
                at += 1
                while tokens[at][1] != "}":
                    if tokens[at][0] == "name":
                        labels.add(tokens[at][1])
                    at += 1
    return used


def _is_aggregation(tokens: list[tuple[str, str]], at: int) -> bool:
    """`sum by (job) (...)`: the name before `by` is an operator, unless a binary operator stands between."""
    return at < len(tokens) and tokens[at][1].lower() in ("by", "without")


def _tokens(expression: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while at < len(expression):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise ValueError(f"not PromQL at {expression[at:]!r}")
        if match.lastgroup not in ("space", None):
            found.append((str(match.lastgroup), match.group()))
        at = match.end()
    return found

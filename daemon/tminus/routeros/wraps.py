"""Long lines of an export are wrapped: a backslash, a line feed, and blanks that are none of the line's (public record).

A backslash that is escaped by another one wraps nothing. All of it takes linear time, whatever a router sends.
"""

from __future__ import annotations

WRAP = "\\\n"

_FEW = 256  # characters to each backslash, or more


def goes_on(line: str) -> bool:
    """Return whether a line ends with a single backslash; an escaped one is two."""
    return line[-1:] == "\\" and (len(line) - len(line.rstrip("\\"))) % 2 == 1


def pieces(text: str) -> list[str]:
    """Cut `text` at its wraps; each piece but the first begins with the blanks of one."""
    # A single character is found at the speed of memory, where there are few of it.
    cut = _cut_at_all if text.count("\\") * _FEW > len(text) else _cut_at_few
    return cut(text)


def _cut_at_few(text: str) -> list[str]:
    found: list[str] = []
    begin = 0
    place = text.find("\\")
    while place >= 0:
        end = place + 1
        while text[end : end + 1] == "\\":
            end += 1
        if (end - place) % 2 and text[end : end + 1] == "\n":
            found.append(text[begin : end - 1])
            begin = end + 1
        place = text.find("\\", end)
    return [*found, text[begin:]]


def _cut_at_all(text: str) -> list[str]:
    found: list[str] = []
    whole: list[str] = []
    for piece in text.split(WRAP):
        whole.append(piece)
        if not goes_on(piece):  # as it stands, without the backslash at which it was split
            found.append(WRAP.join(whole))
            whole = []
    return [*found, WRAP.join(whole)] if whole else found


def unwrap(text: str) -> str:
    """Return `text` without its wraps."""
    first, *others = pieces(text)
    return "".join((first, *(piece.lstrip(" ") for piece in others))) if others else first

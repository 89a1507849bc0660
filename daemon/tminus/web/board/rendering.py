"""Templates, and how text gets into a page: always as text.

Jinja escapes what it inserts, and before that everything that would not be seen, or would turn text around, is written out
(domain/words.visible), whoever wrote it: a router, an author, or a person's name. Long text is cut, and the page says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tminus.domain import words
from tminus.web.board.cells import OUTCOMES

_HERE = files("tminus.web.board")
_LONGEST_LINE = 2_000  # characters
ASSETS: Mapping[str, str] = {
    "board.css": "text/css",
    "board.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
GLYPHS: Mapping[str, str] = {
    "running": "▸",
    "failed": "✕",
    "unknown": "?",
    "completed": "✓",
    "skipped": "–",  # noqa: RUF001 - a dash is what is meant
    "pending": "·",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clipped:
    """The beginning of a text, as lines that can be shown. `more`: what was left out, in words; nothing where it is all there."""

    lines: Sequence[str]
    more: str


def clip(text: str | None, *, lines: int = 400, characters: int = 60_000, length: int | None = None) -> Clipped:
    """Cut a text for a page. `length`: of the whole text in characters, where only its beginning is given."""
    whole = text or ""
    total = len(whole) if length is None else length
    shown: list[str] = []
    room = characters
    found = whole.rstrip("\n").split("\n", lines) if whole.strip("\n") else []
    for line in found[:lines]:
        kept = line[: min(_LONGEST_LINE, room)]
        shown.append(kept + ("…" if len(kept) < len(line) else ""))
        room -= len(kept)
        if room <= 0:
            break
    is_whole = (
        len(whole) == total and len(shown) == len(found) and all(one == o for one, o in zip(shown, found, strict=True))
    )
    return Clipped(lines=shown, more="" if is_whole else f"{total:,} characters in all".replace(",", " "))


def bar(counts: Mapping[str, int], total: int) -> list[tuple[str, float, float]]:
    """Return the parts of a bar of a hundred: outcome, where it begins, how wide it is."""
    parts, at = [], 0.0
    for outcome in ("completed", "failed", "unknown", "skipped", "running"):
        if width := 100 * counts.get(outcome, 0) / max(total, 1):
            parts.append((outcome, round(at, 3), round(width, 3)))
            at += width
    return parts


def _finalize(value: object) -> object:
    if isinstance(value, Markup):
        return value
    if isinstance(value, str):
        return words.visible(value)
    return "" if value is None else value


def _moment(value: datetime | str | None) -> Markup:
    """Write a moment in UTC, as an element that a script can read."""
    if value is None:
        return Markup()
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return Markup('<time datetime="{}">{}</time>').format(at.astimezone(UTC).isoformat(), words.moment(at))


def _milliseconds(value: datetime) -> int:
    return round(value.timestamp() * 1000)


def _segment(value: object) -> str:
    """Write a value as one segment of a path, or as a value of a query."""
    return quote(str(value), safe="")


def _as_json(value: object) -> str:
    """Write a value as people read JSON. Jinja's tojson is for scripts: of `a&b` it makes what is never meant to be read."""
    return json.dumps(value, ensure_ascii=False)


@cache
def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(str(_HERE.joinpath("templates"))),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "moment": _moment,
        "seconds": words.seconds,
        "one_line": words.one_line,
        "milliseconds": _milliseconds,
        "clip": clip,
        "segment": _segment,
        "as_json": _as_json,
    }
    made.globals |= {"glyphs": GLYPHS, "outcomes": OUTCOMES, "bar": bar, "asset": asset_path}
    return made


def render(template: str, context: Mapping[str, object]) -> str:
    return environment().get_template(template).render(context)


@cache
def asset(name: str) -> bytes:
    return _HERE.joinpath("static", name).read_bytes()


@cache
def asset_path(name: str) -> str:
    """Return the path of an asset: another one for other contents, so that browsers may keep it for ever."""
    return f"/board/static/{hashlib.sha256(asset(name)).hexdigest()[:12]}/{name}"

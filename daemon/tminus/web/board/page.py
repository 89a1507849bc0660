"""One request for a page: who asks, what it is about, and what it is answered with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
from aiohttp import web

from tminus.domain.review import Review
from tminus.store.pool import Database, Transaction, statement
from tminus.web.board.feed import Feed, Shared
from tminus.web.board.rendering import render
from tminus.web.board.sessions import Session
from tminus.web.problems import Code, Problem

SAID: Mapping[str, str] = {
    "authorize": "Authorized.",
    "withdraw": "The authorization is withdrawn.",
    "request-authorization": "Its authorization is asked for.",
    "cancel": "Cancelled.",
    "rehearse": "The rehearsal begins.",
    "pause": "The launch is paused: what runs ends, nothing more begins.",
    "resume": "The launch goes on.",
    "confirm-wave": "The next wave goes.",
    "resolve": "What you found is kept beside what could be proved.",
    "retry": "What is safe to repeat is launched again.",
}
"""What a page says after an act."""
_MOST_SEEN = 32
_LARGEST_SEEN = 2_000_000  # characters


@dataclass(frozen=True, slots=True)
class Seen:
    """What approvers were shown lately, by its digest: to say what changed since. It is a help; nothing is decided by it."""

    reviews: dict[str, Review] = field(default_factory=dict)

    def keep(self, review: Review) -> None:
        if len(review.whole) <= _LARGEST_SEEN:
            self.reviews.pop(review.digest, None)
            self.reviews[review.digest] = review
            while len(self.reviews) > _MOST_SEEN:
                del self.reviews[next(iter(self.reviews))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Groups:
    """What the sites of a launch came to, see launch_groups, when so many had ended."""

    groups: list[asyncpg.Record]
    ended: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A request of somebody who is logged in and may look."""

    request: web.Request
    session: Session
    db: Database
    feed: Feed
    groups: Shared[Groups]
    """Of launches."""
    seen: Seen
    ids: Mapping[str, UUID | int | str]
    query: Mapping[str, str] = field(default_factory=dict)

    def may(self, scope: str) -> bool:
        return scope in self.session.person.scopes

    def uuid(self, name: str) -> UUID:
        value = self.ids[name]
        assert isinstance(value, UUID)  # noqa: S101 - the table of paths says so
        return value

    def number(self, name: str) -> int:
        value = self.ids[name]
        assert isinstance(value, int)  # noqa: S101 - the table of paths says so
        return value

    def asked(self, name: str, longest: int = 200) -> str | None:
        """Return a parameter of the query; None where it is empty or not there."""
        value = self.query.get(name, "").strip()
        if len(value) > longest or "\x00" in value:
            raise Problem(Code.INVALID, f"{name} is too long, or is no text")
        return value or None

    def one_of(self, name: str, *known: str) -> str | None:
        value = self.asked(name)
        if value is not None and value not in known:
            raise Problem(Code.INVALID, f"{name} is one of {', '.join(known)}")
        return value

    def page(self, template: str, context: Mapping[str, object], *, status: int = 200) -> web.Response:
        """Answer with a template, which knows who looks and what they may."""
        known = {
            "session": self.session,
            "path": self.request.path,
            "may": self.may,
            "said": SAID.get(self.query.get("done", "")),
        }
        return html(template, {**known, **context}, status=status)


async def row(transaction: Transaction, name: str, *arguments: object) -> asyncpg.Record | None:
    return await transaction.fetchrow(statement(name), *arguments)


async def rows(transaction: Transaction, name: str, *arguments: object) -> list[asyncpg.Record]:
    return await transaction.fetch(statement(name), *arguments)


def html(template: str, context: Mapping[str, object], *, status: int = 200) -> web.Response:
    text = render(template, {"session": None, "path": "", "said": None, "may": lambda _: False, **context})
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8")


def plain(text: str) -> web.Response:
    """Answer with a text that no browser takes for a page."""
    return web.Response(text=text, content_type="text/plain", charset="utf-8")

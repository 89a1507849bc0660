"""One request as the handlers see it, and what they answer. Neither knows HTTP further than this."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import asyncpg
from pydantic import BaseModel

from tminus.store.pool import Transaction, statement
from tminus.web.problems import Code, Problem
from tminus.web.tokens import Person

B = TypeVar("B", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request whose token, scope, path, query and body were found good; all its statements are one transaction."""

    person: Person
    transaction: Transaction
    ids: Mapping[str, UUID | int | str]
    query: BaseModel | None
    body: BaseModel | None
    if_match: str | None

    def uuid(self, name: str) -> UUID:
        value = self.ids[name]
        assert isinstance(value, UUID)  # noqa: S101 - the table of paths says so
        return value

    def query_as(self, model: type[B]) -> B:
        assert isinstance(self.query, model)  # noqa: S101 - the route says so
        return self.query

    def body_as(self, model: type[B]) -> B:
        assert isinstance(self.body, model)  # noqa: S101 - the route says so
        return self.body

    async def value(self, name: str, *arguments: object) -> object:
        return await self.transaction.fetchval(statement(name), *arguments)

    async def row(self, name: str, *arguments: object) -> asyncpg.Record | None:
        return await self.transaction.fetchrow(statement(name), *arguments)

    async def rows(self, name: str, *arguments: object) -> list[asyncpg.Record]:
        return await self.transaction.fetch(statement(name), *arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`text` is JSON, unless `content_type` says something else."""

    text: str
    status: int = 200
    content_type: str = "application/json"
    location: str | None = None
    etag: str | None = None
    next_cursor: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def page_of(documents: list[str], limit: int, cursors: list[tuple[object, ...]]) -> Answer:
    """Answer with a bare array of at most `limit` documents; one more than that was asked for."""
    more = len(documents) > limit
    return Answer(
        text=f"[{','.join(documents[:limit])}]", next_cursor=make_cursor(*cursors[limit - 1]) if more else None
    )


def make_cursor(*values: object) -> str:
    return base64.urlsafe_b64encode("\n".join(str(value) for value in values).encode()).decode().rstrip("=")


def _cursor_value(type_: type, word: str) -> object:
    """Read one value. ValueError or OverflowError for what the database would not take."""
    if type_ is int and not re.fullmatch("[0-9]{1,18}", word):
        raise ValueError(word)
    value = getattr(type_, "fromisoformat", type_)(word)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(word)
        return value.astimezone(UTC)
    return value


def read_cursor(cursor: str | None, *types: type) -> tuple[object, ...]:
    """Return the values of make_cursor, as these types (`fromisoformat` where a type has it); Nones without a cursor."""
    if cursor is None:
        return (None,) * len(types)
    try:
        words = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().replace("\x00", "").split("\n")
        return tuple(_cursor_value(type_, word) for type_, word in zip(types, words, strict=True))
    except (ValueError, binascii.Error, OverflowError):
        raise Problem(
            Code.INVALID, "cursor: take it from the Link header of the page before", fields={"cursor": "not a cursor"}
        ) from None

"""Server-sent events: what the feed has, to one viewer, at the viewer's pace."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from uuid import UUID

from aiohttp import hdrs, web

from tminus.web.board.feed import Feed
from tminus.web.board.sessions import Session, Sessions
from tminus.web.problems import Code, Problem

_HEARTBEAT = 15.0  # seconds
_TAKEN_WITHIN = 20.0  # who takes no bytes for so long is let go, and comes back by itself
_MOST_STREAMS = 12  # of a session
_EVENT_ID = re.compile(r"([0-9a-f]{8})-([0-9]{1,15})", re.ASCII)


async def follow(
    request: web.Request, session: Session, sessions: Sessions, feed: Feed, launch: UUID | None
) -> web.StreamResponse:
    """Send what changes of a launch, or of what comes next, until the viewer goes or the session ends."""
    if session.streams >= _MOST_STREAMS:
        raise Problem(Code.TOO_MANY_REQUESTS, "too many pages of this session are open", headers={"Retry-After": "30"})
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: "text/event-stream; charset=utf-8",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Accel-Buffering": "no",  # a proxy that collects would make it late
        }
    )
    session.streams += 1
    try:
        async with feed.watch(launch) as woken:
            await response.prepare(request)
            await _send(response, b"retry: 2000\n\n")
            with suppress(ConnectionError, TimeoutError):
                await _follow(response, session, sessions, feed, launch, _last_seen(request, feed), woken)
            return response
    finally:
        session.streams -= 1


async def _follow(  # noqa: PLR0917 - it is the second half of follow
    response: web.StreamResponse,
    session: Session,
    sessions: Sessions,
    feed: Feed,
    launch: UUID | None,
    after: int | None,
    woken: asyncio.Event,
) -> None:
    told_lost, outlook = False, b""
    while True:
        woke = True
        try:
            async with asyncio.timeout(min(_HEARTBEAT, max(sessions.seconds_left(session), 0.1))):
                await woken.wait()
        except TimeoutError:
            woke = False
        woken.clear()
        if not sessions.lasts(session):
            await _send(response, b"event: bye\ndata: {}\n\n")
            return
        if not feed.alive:
            return
        if not woke:
            await _send(response, b": still here\n\n")
            continue
        if feed.lost != told_lost:
            told_lost = feed.lost
            await _send(response, b'event: lost\ndata: {"lost":%s}\n\n' % (b"true" if told_lost else b"false"))
        if feed.lost:
            continue
        version = feed.version
        if launch is None:
            news: bytes | None = feed.outlook()
            if news == outlook:
                continue
            outlook = news or b""
        else:
            news = feed.news(launch, after)
        after = version
        if news is not None:
            await _send(response, b"id: %s-%d\ndata: %s\n\n" % (feed.epoch.encode(), version, news))


async def _send(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(_TAKEN_WITHIN):
        await response.write(data)


def _last_seen(request: web.Request, feed: Feed) -> int | None:
    """Return up to which version a viewer who comes back has seen all; None if that can't be told."""
    found = _EVENT_ID.fullmatch(request.headers.get("Last-Event-ID", ""))
    if found is None or found[1] != feed.epoch or int(found[2]) > feed.version:
        return None
    return int(found[2])

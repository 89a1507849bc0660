"""Writing an ending: the one write that must arrive, however long the database is away."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import structlog

from tminus.errors import StoreError, StoreUnavailable
from tminus.services.heartbeat import Trust
from tminus.store.writer import EndRequest, Writer

_LONGEST_PAUSE = 5.0  # seconds

log = structlog.get_logger()


async def write_ending(writer: Writer, trust: Trust, request: EndRequest) -> bool | None:
    """Write an ending. True: written. False: the run is not ours any more. None: this instance is dead, others see to it."""
    pause = 0.2
    while True:
        try:
            return await writer.end(request)
        except StoreUnavailable:
            if trust.dead:
                return None
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)
        except StoreError:
            bare = replace(request, output=None, diff=None, backups=())
            if bare == request:
                raise
            # The outcome counts more than what came with it.
            log.exception("ending_refused", site_run=request.run)
            request = bare

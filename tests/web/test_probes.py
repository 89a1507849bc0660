"""The listener of the probes ends with the daemon, whoever still waits for an answer."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry

from tminus.web.probes import serve_probes


async def test_a_scraper_that_hangs_does_not_keep_the_process() -> None:
    asked = asyncio.Event()

    async def hang() -> None:
        asked.set()
        await asyncio.Event().wait()

    registry = CollectorRegistry()
    async with serve_probes(("127.0.0.1", 0), registry, why_not_ready=lambda: None, refresh=hang) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(asked.wait(), 10)
        ending = time.monotonic()
    assert time.monotonic() - ending < 15, "aiohttp alone would wait for a minute"
    assert b" 200 " not in await asyncio.wait_for(reader.read(), 10)
    writer.close()

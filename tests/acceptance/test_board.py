"""The launch board of a real daemon: somebody logs in with a token, authorizes, and sees routers end one by one."""

from __future__ import annotations

import asyncio
import html
import json
from pathlib import Path

import aiohttp

from tests.acceptance.test_api import SECRET, configure, token
from tests.support import Db, run_daemon
from tests.web.boards import Visitor, field_of
from tminus.simulator import FleetSpec, simulate

SITES = 12


async def test_what_is_authorized_on_the_board_is_seen_to_run_there(database: Db, tmp_path: Path) -> None:
    config = configure(tmp_path, database)
    settings = {
        "api_listen": "127.0.0.1:0",
        "api_secret_file": "api.secret",
        "api_database_url": database.dsn_as("api"),
        "max_sessions": 3,
    }
    async with (
        simulate(FleetSpec(sites=SITES, script_ms=200)) as fleet,
        run_daemon(database, tmp_path, fleet, arguments=("--api",), **settings) as daemon,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        await database.run(fleet.inventory_sql(None))
        url = next(f"http://{event['listening']}" for event in daemon.log() if event["event"] == "api_ready")
        bob = Visitor(url, session)
        assert (await bob.log_in(await token(config, "bob", "script:view", "script:authorize"))).status == 303
        script = str(
            await database.value(
                "insert into tminus.scheduled_scripts (description, script, sites, launch_at)"
                " select 'Seen on the board', $1, array_agg(id order by id), tminus.clock() + interval '5 seconds' from tminus.sites"
                " returning id",
                ':put "<b>seen</b>"\n',
                role="alice",
            )
        )
        assert "not authorized" in await bob.see("/board/")
        page = await bob.see(f"/board/scripts/{script}")
        reply = await bob.act(script, "authorize", page, digest=field_of(page, "digest"), reason="seen", read="yes")
        assert reply.status == 303, reply.text

        async def launched() -> str:
            async for event in bob.follow("/board/stream"):
                if going := json.loads(event["data"]).get("launches"):
                    return str(next(iter(going)))
            raise AssertionError("the stream ended")

        launch = await asyncio.wait_for(launched(), 40)
        seen: set[str] = set()

        async def finished() -> None:
            async for event in bob.follow(f"/board/launches/{launch}/stream"):
                news = json.loads(event["data"])
                seen.update(news.get("all", ""), news.get("set", {}))
                if news["finished"]:
                    assert news["counts"]["completed"] == SITES
                    return

        await asyncio.wait_for(finished(), 60)
        # Three at a time, so that it was seen how they went.
        assert "C" in seen
        assert seen & set("cbkxv")
        page = await bob.see(f"/board/launches/{launch}")
        assert f"{SITES} sites completed" in page
        assert "<b>seen</b>" in html.unescape(page)
        assert "<b>seen</b>" not in page
        assert "Just finished" in await bob.see("/board/")
        assert await daemon.stop() == 0
    assert SECRET not in daemon.log_file.read_text()
    assert field_of(page, "csrf") not in daemon.log_file.read_text()

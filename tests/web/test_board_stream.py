"""How a page of the board is kept up to date: what a viewer is sent, what it costs, and when it ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from tests.store.stage import EMPTY, add_sites
from tests.support import until
from tests.web import boards
from tests.web.boards import Visitor, field_of, visitor
from tests.web.conftest import Api, serve, serve_fresh

pytestmark = pytest.mark.asyncio(loop_scope="module")

SITES = [f"site-{number:03}" for number in range(1, 101)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(postgres: str) -> AsyncIterator[Api]:
    async with serve_fresh(postgres, board=True) as api:
        yield api


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def stage(api: Api) -> None:
    await api.db.run(EMPTY)
    await add_sites(api.db, *SITES)  # type: ignore[arg-type]


async def launched(api: Api) -> str:
    script = await api.submit(sites=SITES)
    return await boards.launch(api, script["id"], size=50)


class Page:
    """What the script of a page makes of a stream."""

    def __init__(self, viewer: Visitor, path: str, last: str | None = None) -> None:
        self.events = viewer.follow(path, last)
        self.cells: list[str] = []
        self.news: dict[str, Any] = {}
        self.last: Mapping[str, str] = {}
        self.bytes = 0

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            self.last = await anext(self.events)
        news: dict[str, Any] = json.loads(self.last["data"])
        self.bytes += len(self.last["data"])
        if "all" in news:
            self.cells = list(news["all"])
        for letter, steps in news.get("set", {}).items():
            place = 0
            for step in steps:
                place += step
                self.cells[place] = letter
        self.news = news
        return news

    async def until_shown(self, cells: str) -> None:
        while "".join(self.cells) != cells:
            await self.next()


async def test_a_viewer_is_sent_all_once_and_then_what_changed(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob:
        page = Page(bob, f"/board/launches/{launch}/stream")
        async with aclosing(page.events):
            news = await page.next()
            assert news["all"] == "p" * 100
            assert (news["state"], news["waves"], news["counts"]["pending"]) == ("running", 2, 100)
            await boards.run(api, launch, 1, 3, "connecting")
            await page.until_shown("ccc" + "p" * 97)
            assert "all" not in page.news
            await boards.end(api, launch, 1, 1, "completed")
            await boards.end(api, launch, 2, 2, "failed")
            await boards.run(api, launch, 3, 3)
            await boards.end(api, launch, 90, 90, "unknown")
            await page.until_shown("CFx" + "p" * 86 + "U" + "p" * 10)
            assert page.news["counts"] == {
                "running": 1,
                "failed": 1,
                "unknown": 1,
                "completed": 1,
                "skipped": 0,
                "pending": 96,
            }
            await boards.finish(api, launch, "halted")
            while page.news["state"] != "halted":
                await page.next()
            assert page.news["finished"] is True


async def test_who_comes_back_is_sent_what_was_missed_or_all_if_that_is_not_known(api: Api) -> None:
    launch = await launched(api)
    path = f"/board/launches/{launch}/stream"
    async with visitor(api) as bob, visitor(api, "carol") as carol:
        stays = Page(carol, path)
        async with aclosing(stays.events):
            await stays.next()
            page = Page(bob, path)
            async with aclosing(page.events):
                await page.next()
            await boards.end(api, launch, 1, 2, "completed")
            await stays.until_shown("CC" + "p" * 98)
            back = Page(bob, path, page.last["id"])
            async with aclosing(back.events):
                back.cells = page.cells
                await back.until_shown("CC" + "p" * 98)
                assert back.news["set"] == {"C": [0, 1]}
                assert "all" not in back.news
            for unknown in ("00000000-5", "nonsense", page.last["id"].split("-")[0] + "-999999999"):
                other = Page(bob, path, unknown)
                async with aclosing(other.events):
                    assert (await other.next())["all"] == "CC" + "p" * 98


async def test_a_change_of_a_site_costs_a_few_hundred_bytes(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob:
        page = Page(bob, f"/board/launches/{launch}/stream")
        async with aclosing(page.events):
            await page.next()
            page.bytes = 0
            for place in range(1, 11):
                await boards.end(api, launch, place, place, "completed")
                await page.until_shown("C" * place + "p" * (100 - place))
            assert page.bytes / 10 < 300


async def test_however_many_look_the_database_is_asked_for_all_of_them_at_once(api: Api) -> None:
    launch = await launched(api)
    async with AsyncExitStack() as stack:
        pages = []
        for number in range(30):
            viewer = await stack.enter_async_context(visitor(api, f"viewer {number}"))
            page = Page(viewer, f"/board/launches/{launch}/stream")
            await stack.enter_async_context(aclosing(page.events))
            await page.next()
            pages.append(page)
        looks = "select count(*) from pg_stat_activity where application_name = 'tminus listen' and datname = current_database()"
        assert await api.db.value(looks) == 1
        await boards.end(api, launch, 1, 10, "completed")
        began = time.monotonic()
        await asyncio.gather(*(page.until_shown("C" * 10 + "p" * 90) for page in pages))
        assert time.monotonic() - began < 5
        # Each is told the same, and one made it for all.
        assert len({page.last["data"] for page in pages}) == 1

    async def nobody_listens() -> bool:
        return bool(await api.db.value(looks) == 0)

    await until(nobody_listens)


async def test_what_comes_next_is_told_when_it_changes_and_how_far_launches_are(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob:
        page = Page(bob, "/board/stream")
        async with aclosing(page.events):
            news = await page.next()
            while not news["mark"]:
                news = await page.next()
            assert news["launches"][launch]["counts"]["pending"] == 100
            assert f'data-mark="{news["mark"]}"' in await bob.see("/board/")
            await boards.end(api, launch, 1, 5, "completed")
            while (await page.next())["launches"][launch]["counts"]["completed"] != 5:
                pass
            assert page.news["mark"] == news["mark"]
            await api.submit(sites=["site-001"])
            while (await page.next())["mark"] == news["mark"]:
                pass


async def test_a_stream_ends_with_its_session(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob, visitor(api, "carol", valid=timedelta(seconds=4)) as carol:
        pages = [
            Page(one, path) for one in (bob, carol) for path in ("/board/stream", f"/board/launches/{launch}/stream")
        ]
        for page in pages:
            await page.next()
        await bob.post("/board/logout", {"csrf": field_of(await bob.see("/board/"), "csrf")})
        # Whatever changes next is not shown any more.
        await boards.end(api, launch, 1, 1, "completed")
        for page in pages:
            async with asyncio.timeout(20):
                seen = [event async for event in page.events]
            assert seen[-1]["event"] == "bye"
            if page in pages[:2]:
                assert all('"completed":1' not in event["data"] for event in seen)


async def test_there_is_an_end_to_how_many_pages_of_a_session_are_kept_up_to_date(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob, AsyncExitStack() as stack:
        for _ in range(12):
            page = Page(bob, f"/board/launches/{launch}/stream")
            await stack.enter_async_context(aclosing(page.events))
            await page.next()
        assert (await bob.get(f"/board/launches/{launch}/stream")).status == 429


async def test_a_viewer_who_takes_nothing_holds_up_nobody(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob, visitor(api, "carol") as carol:
        deaf = await bob.session.get(f"{bob.url}/board/launches/{launch}/stream")
        page = Page(carol, f"/board/launches/{launch}/stream")
        async with aclosing(page.events):
            await page.next()
            for place in range(1, 6):
                began = time.monotonic()
                await boards.end(api, launch, place, place, "completed")
                await page.until_shown("C" * place + "p" * (100 - place))
                assert time.monotonic() - began < 5
        deaf.close()


async def test_an_outage_of_the_database_is_told_and_ends(api: Api) -> None:
    launch = await launched(api)
    async with visitor(api) as bob:
        page = Page(bob, f"/board/launches/{launch}/stream")
        async with aclosing(page.events):
            await page.next()
            await api.db.run("alter table tminus.launches rename to launches_away")
            try:
                while page.last.get("event") != "lost":
                    await page.next()
                assert page.news == {"lost": True}
            finally:
                await api.db.run("alter table tminus.launches_away rename to launches")
            while page.news != {"lost": False}:
                await page.next()
            await boards.end(api, launch, 1, 1, "completed")
            await page.until_shown("C" + "p" * 99)


async def test_the_process_ends_at_once_whoever_looks(api: Api) -> None:
    launch = await launched(api)
    async with AsyncExitStack() as stack:
        serving = AsyncExitStack()
        other = await serving.enter_async_context(serve(api.db, board=True))
        bob = await stack.enter_async_context(visitor(other))
        page = Page(bob, f"/board/launches/{launch}/stream")
        await page.next()
        began = time.monotonic()
        await serving.aclose()
        assert time.monotonic() - began < 5

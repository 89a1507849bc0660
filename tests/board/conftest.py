"""The board in Debian's Chromium, driven by playwright. Screenshots are kept in build/board/."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, Request, async_playwright

from tests.store.stage import EMPTY, add_sites
from tests.support import until
from tests.web.conftest import Api, serve_fresh, token

SITES = [f"site-{number:03}" for number in range(1, 201)]
SHOTS = Path(__file__).parents[2] / "build/board"
SIZES = {"desktop": (1360, 900), "phone": (390, 844)}
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> str:
    """The path of a Chromium, or of that in CHROMIUM; skips the test where there is none, unless REQUIRE_CHROMIUM is set."""
    found = os.environ.get("CHROMIUM") or next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        if os.environ.get("REQUIRE_CHROMIUM"):
            pytest.fail("REQUIRE_CHROMIUM is set, and there is no Chromium on PATH, nor in CHROMIUM")
        pytest.skip("NOT TESTED: there is no Chromium (apt-get install chromium), so nobody looked at the board")
    return found


@dataclass
class Tab:
    """A page of a browser, with all that it asked for and all that went wrong in it."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    loads: int = 0

    async def open(self, path: str) -> None:
        answer = await self.page.goto(self.url + path)
        assert answer is not None
        assert answer.status == 200, await answer.text()

    async def until(self, condition: str) -> None:
        """Wait until an expression is true there. Playwright's own waiting is a script that the policy of the page forbids."""

        async def look() -> bool:
            return bool(await self.page.evaluate(condition))

        await until(look, within=20)

    def is_clean(self) -> None:
        """Nothing was asked of anybody else, and no script failed or was stopped."""
        assert [url for url in self.requests if not url.startswith(self.url + "/")] == []
        assert self.wrong == []


@dataclass
class Desk:
    api: Api
    browser: Browser = field(repr=False)

    @asynccontextmanager
    async def tab(self, person: str | None = "bob", size: str = "desktop", **options: Any) -> AsyncIterator[Tab]:
        """A page in a browser of its own, with `person` logged in."""
        width, height = SIZES[size]
        context: BrowserContext = await self.browser.new_context(viewport={"width": width, "height": height}, **options)
        try:
            page = await context.new_page()
            page.set_default_timeout(15_000)
            tab = Tab(page, self.api.url)

            def asked(request: Request) -> None:
                tab.requests.append(request.url)
                tab.loads += request.is_navigation_request()

            page.on("request", asked)
            page.on("pageerror", lambda error: tab.wrong.append(f"error: {error}"))
            page.on("console", lambda said: tab.wrong.append(said.text) if said.type in ("error", "warning") else None)
            page.on("dialog", lambda dialog: tab.wrong.append(f"dialog: {dialog.message}"))
            if person is not None:
                await tab.open("/board/login")
                await page.fill("#token", token(person))
                await page.click("main button")
                await page.wait_for_selector("#outlook")
                tab.loads = 0
            yield tab
        finally:
            await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(postgres: str) -> AsyncIterator[Desk]:
    program = chromium()
    async with serve_fresh(postgres, board=True) as api, async_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = await playwright.chromium.launch(executable_path=program, args=[*sandbox, "--disable-dev-shm-usage"])
        try:
            yield Desk(api, browser)
        finally:
            await browser.close()


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def stage(desk: Desk) -> None:
    """Two hundred sites, and nothing else."""
    await desk.api.db.run(EMPTY)
    await add_sites(desk.api.db, *SITES)  # type: ignore[arg-type]

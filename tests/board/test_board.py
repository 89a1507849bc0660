"""What a person sees who looks at the board with a browser."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Route

from tests.board.conftest import SHOTS, SITES, Desk, Tab
from tests.web import boards
from tests.web.conftest import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = (
    '<script>document.title="owned"</script><img src="http://192.0.2.1/x" onerror="document.title=1">'
    '"><svg onload=alert(1)> javascript:alert(1) \u202eexe.gnp \u2066x\u2069 \x1b[2J\x1b]0;owned\x07 '
    '<a href="http://192.0.2.1/">click</a><iframe src="http://192.0.2.1/"></iframe><form action="http://192.0.2.1/">'
)
SCRIPT = "/ip service disable telnet\n/system reset-configuration\n:foreach i in=[/ip address find] do={ :put $i }\n"
FINDINGS = [
    {"code": "reset", "severity": "danger", "line": 2, "column": 1, "message": "It resets the router.", "count": 1},
    {"code": "loop", "severity": "note", "line": 3, "column": 1, "message": "A loop over all addresses.", "count": 1},
]


async def submit(api: Api, **columns: object) -> str:
    given = {
        "sites": SITES,
        "description": "Rotate SNMP communities on the branch routers",
        "script": SCRIPT,
        **columns,
    }
    return str((await api.submit(**given))["id"])


async def busy_night(api: Api) -> tuple[str, str]:
    """A launch with all that can happen, one that is authorized, and one that waits for it. Returns the launch, and the last."""
    launch = await boards.launch(api, await submit(api), size=60)
    diff = "--- before\n+++ after\n@@ -1,2 +1,2 @@\n-/snmp community set 0 name=old\n+/snmp community set 0 name=new"
    await boards.end(api, launch, 1, 40, "completed", output="2 communities were changed\n", diff=diff)
    await boards.end(api, launch, 41, 42, "failed", output="failure: item with such name already exists\n")
    await boards.end(api, launch, 43, 43, "offline")
    await boards.end(api, launch, 44, 44, "unknown")
    await boards.end(api, launch, 45, 46, "skipped")
    await boards.run(api, launch, 47, 52)
    await boards.run(api, launch, 53, 58, "connecting")
    next_one = await submit(api, description="Enable the new uplink", sites=SITES[:2])
    await api("POST", f"/scripts/scheduled/{next_one}/authorize", {"digest": await api.digest(next_one)}, person="bob")
    waiting = await submit(
        api, description="Drop telnet everywhere", sites=SITES[:12], launch_at="2036-01-01T02:00:00Z"
    )
    await api.db.fetch("update tminus.scheduled_scripts set summary = 'Disables telnet.' where id = $1::uuid", waiting)
    async with api.db.connect() as connection, connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute(
            "update tminus.scheduled_scripts set findings = $2 where id = $1::uuid", waiting, json.dumps(FINDINGS)
        )
    return launch, waiting


async def letters(tab: Tab) -> str:
    return str(await tab.page.evaluate("[...document.querySelectorAll('.grid > a')].map((a) => a.className).join('')"))


async def test_two_hundred_sites_are_seen_to_end_without_a_reload(desk: Desk) -> None:
    api = desk.api
    launch = await boards.launch(api, await submit(api), size=50)
    async with desk.tab() as tab, desk.tab(person="carol", size="phone") as phone:
        await tab.open(f"/board/launches/{launch}")
        await phone.open("/board/")
        assert await letters(tab) == "p" * 200
        await tab.page.evaluate("window.kept = 'the same page'")
        for first in range(1, 200, 50):
            await boards.run(api, launch, first, first + 49)
            await tab.until("document.querySelectorAll('.grid > a.x').length === 50")
            ending = "failed" if first == 101 else "completed"
            await boards.end(api, launch, first, first + 49, ending, output=f"wave {first}")
            await tab.until("document.querySelectorAll('.grid > a.x').length === 0")
        await boards.finish(api, launch)
        assert await letters(tab) == "C" * 100 + "F" * 50 + "C" * 50
        assert await tab.page.get_attribute(".grid a:nth-of-type(1)", "title") == "site-001: completed"
        await tab.page.wait_for_selector("#launch-head .badge.finished")
        await tab.until("document.querySelectorAll('#groups article').length === 4")
        assert await tab.page.inner_text("[data-number=completed]") == "150"
        assert await tab.page.evaluate("window.kept") == "the same page"
        # Who looks at what comes next saw it, too: it runs no longer.
        await phone.page.wait_for_selector(".recent h3 a")
        assert await phone.page.query_selector(".running article") is None
        for one in (tab, phone):
            assert one.loads == 1
            one.is_clean()


async def test_a_part_that_was_refused_is_asked_for_again_after_a_pause(desk: Desk) -> None:
    launch = await boards.launch(desk.api, await submit(desk.api))
    parts = f"{desk.api.url}/board/launches/{launch}/parts"
    async with desk.tab() as tab:
        refusals = [429, 503]
        asked: list[str] = []

        async def answer(route: Route) -> None:
            asked.append(route.request.url)
            await (route.fulfill(status=refusals.pop()) if refusals else route.continue_())

        await tab.page.route(parts, answer)
        await tab.page.clock.install()
        await tab.open(f"/board/launches/{launch}")
        # From here on its clock stands still unless it is moved.
        await tab.page.clock.pause_at(await tab.page.evaluate("Date.now() + 1000"))
        await boards.end(desk.api, launch, 1, 200, "completed")
        await boards.finish(desk.api, launch)
        for times in (1, 2):
            await tab.until("timer !== 0")  # of board.js
            await tab.page.clock.run_for(4_900)
            assert len(asked) == times
            await tab.page.clock.run_for(200)
        await tab.page.wait_for_selector("#launch-head .badge.finished")
        assert tab.loads == 1


async def test_an_approval_of_what_was_changed_meanwhile_is_refused_and_shows_how(desk: Desk) -> None:
    api = desk.api
    script = await submit(api, sites=SITES[:3])
    async with desk.tab() as tab:
        await tab.open(f"/board/scripts/{script}")
        assert "Authorize" in await tab.page.inner_text("main")
        (await api("PUT", f"/scripts/scheduled/{script}", {"script": SCRIPT + ":beep\n"})).json()
        # Without a tick for having read it, the browser sends nothing.
        await tab.page.click("text='Authorize' >> nth=-1")
        assert tab.loads == 1
        await tab.page.check("input[name=read]")
        await tab.page.click("form[action$='/authorize'] button")
        await tab.page.wait_for_selector("#stale")
        assert "+:beep" in await tab.page.inner_text("main")
        assert (await api("GET", f"/scripts/scheduled/{script}")).json()["status"] == "unauthorized"
        await tab.page.fill("#reason", "read it again")
        await tab.page.check("input[name=read]")
        await tab.page.click("form[action$='/authorize'] button")
        await tab.page.wait_for_selector("main > .banner.completed")
        assert (await api("GET", f"/scripts/scheduled/{script}")).json()["authorized_by"] == "bob"
        tab.wrong = [wrong for wrong in tab.wrong if "409" not in wrong]  # a browser notes that status
        tab.is_clean()


async def test_what_a_hostile_router_says_does_nothing(desk: Desk) -> None:
    api = desk.api
    launch = await boards.launch(api, await submit(api, description=HOSTILE[:200].replace("\x1b", ""), sites=SITES[:4]))
    await boards.end(api, launch, 1, 1, "completed", output=HOSTILE, diff=f"+{HOSTILE}")
    await boards.end(api, launch, 2, 2, "failed", output=HOSTILE + "x" * 5_000_000, diff="y" * 5_000_000)
    async with desk.tab() as tab:
        runs = await api.db.fetch(
            "select id from tminus.site_runs where launch_id = $1::uuid order by position", launch
        )
        for path in (
            "/board/", f"/board/launches/{launch}", f"/board/runs/{runs[0]['id']}", f"/board/runs/{runs[1]['id']}",
            f"/board/runs/{runs[0]['id']}/output", "/board/history",
        ):  # fmt: skip
            await tab.open(path)
            assert await tab.page.title() != "owned"
            assert (
                await tab.page.evaluate(
                    "document.querySelectorAll('main script, img, iframe, main svg:not([data-bar])').length"
                )
                == 0
            )
            assert await tab.page.evaluate("[...document.links].every((a) => a.host === location.host)")
            text = await tab.page.inner_text("body")
            assert not set(text) & set("\u202e\u2066\u2069\x1b\x07"), path
        await tab.open(f"/board/runs/{runs[0]['id']}")
        assert "<script>document.title" in await tab.page.inner_text("pre.device >> nth=0")
        # What arrives while the page is open goes the same way.
        await tab.open(f"/board/launches/{launch}")
        await boards.end(api, launch, 3, 4, "failed", output=HOSTILE + "late")
        await tab.until("document.querySelector('#groups').innerText.includes('2 sites failed')")
        assert await tab.page.evaluate("document.querySelectorAll('main script, img, iframe').length") == 0
        tab.is_clean()


PAGES = ("outlook", "launch", "run", "unknown", "script", "history", "sites", "site", "events", "login")


@pytest.mark.parametrize(
    ("scheme", "size", "looked_at"),
    [
        ("light", "desktop", PAGES),
        # What differs: colours, and what stands beneath what.
        ("dark", "desktop", ("outlook", "launch", "script")),
        ("light", "phone", ("launch", "script")),
        ("dark", "phone", ()),
    ],
)
async def test_nobody_is_kept_out_by_how_it_is_made(
    desk: Desk, scheme: str, size: str, looked_at: tuple[str, ...]
) -> None:
    """axe-core finds nothing serious, and no page is wider than the screen. A screenshot of each page is kept."""
    launch, waiting = await busy_night(desk.api)
    of_position = "select id from tminus.site_runs where launch_id = $1::uuid and position = $2"
    run, unknown = [await desk.api.db.value(of_position, launch, position) for position in (41, 44)]
    paths = dict(
        zip(
            PAGES,
            ("/board/", f"/board/launches/{launch}?outcome=failed", f"/board/runs/{run}", f"/board/runs/{unknown}",
             f"/board/scripts/{waiting}",
             "/board/history", "/board/sites", "/board/sites/site-041", "/board/events", "/board/login"),
            strict=True,
        )
    )  # fmt: skip
    SHOTS.mkdir(parents=True, exist_ok=True)
    found = []
    async with desk.tab(size=size, color_scheme=scheme, reduced_motion="reduce") as tab:
        for name, path in paths.items():
            await tab.open(path)
            await tab.page.screenshot(path=SHOTS / f"{name}-{size}-{scheme}.png", full_page=True)
            wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert await tab.page.evaluate(wide) == 0, f"{name} is wider than a {size}"
            if name in looked_at:
                results = await Axe().run(tab.page)
                found += [
                    f"{name}: {each['id']} ({each['impact']}): {[node['html'] for node in each['nodes']][:3]}"
                    for each in results.response["violations"]
                    if each["impact"] in ("serious", "critical")
                ]
                assert len(results.response["passes"]) > 10
        tab.is_clean()
    assert found == []


async def test_a_keyboard_is_enough(desk: Desk) -> None:
    launch, _ = await busy_night(desk.api)
    async with desk.tab() as tab:
        await tab.open(f"/board/launches/{launch}")
        press, focused = tab.page.keyboard.press, "document.activeElement.title || document.activeElement.innerText"
        await press("Tab")
        assert await tab.page.evaluate(focused) == "Skip to content"
        await press("Enter")
        for _ in range(30):
            await press("Tab")
            if (await tab.page.evaluate(focused)).startswith("site-001"):
                break
        await press("ArrowRight")
        assert (await tab.page.evaluate(focused)).startswith("site-002")
        await press("End")
        assert (await tab.page.evaluate(focused)).startswith("site-200")
        await press("Home")
        await press("ArrowDown")
        below = await tab.page.evaluate(focused)
        assert not below.startswith(("site-001", "site-002"))
        # The grid is one stop, however many sites it has.
        await press("Tab")
        assert not (await tab.page.evaluate(focused)).startswith("site-")
        await press("Shift+Tab")
        await press("Enter")
        await tab.page.wait_for_url("**/board/runs/*")
        tab.is_clean()


async def test_without_scripts_the_board_works_by_reloading(desk: Desk) -> None:
    api = desk.api
    launch, waiting = await busy_night(api)
    async with desk.tab(java_script_enabled=False) as tab:
        await tab.open(f"/board/launches/{launch}")
        await boards.end(api, launch, 47, 58, "completed")
        await tab.page.reload()
        assert await tab.page.inner_text("[data-number=completed]") == "52"
        await tab.open(f"/board/scripts/{waiting}")
        await tab.page.check("input[name=read]")
        await tab.page.click("form[action$='/authorize'] button")
        await tab.page.wait_for_selector("main > .banner.completed")
    assert (await api("GET", f"/scripts/scheduled/{waiting}")).json()["status"] == "scheduled"

"""The launch board over HTTP: what is shown to whom, what a form may do, and what a browser is told about each answer."""

from __future__ import annotations

import html
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
import pytest_asyncio

from tests.store.stage import EMPTY, add_sites
from tests.web import boards
from tests.web.boards import field_of, visitor
from tests.web.conftest import Api, Reply, serve, serve_fresh, token
from tminus.domain.review import lines_between
from tminus.web.call import make_cursor

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = '<script>alert(1)</script> \u202egnp.exe \x1b[31mred\x1b[0m "><img src=x onerror=alert(1)> {{ 7*7 }}'
SCRIPT = ':put "hello"\n/ip service disable telnet\n'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(postgres: str) -> AsyncIterator[Api]:
    async with serve_fresh(postgres, board=True) as api:
        yield api


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def stage(api: Api) -> None:
    """Twenty sites, and nothing else."""
    await api.db.run(EMPTY)
    await add_sites(api.db, *SITES)  # type: ignore[arg-type]


SITES = [f"site-{number:02}" for number in range(1, 21)]


async def submit(api: Api, **columns: object) -> str:
    return str((await api.submit(**{"sites": SITES, "script": SCRIPT, "description": "A change", **columns}))["id"])


async def launched(api: Api, **columns: object) -> tuple[str, str]:
    """A launch with one site of each kind of ending, one that runs, and the rest ahead."""
    script = await submit(api, **columns)
    launch = await boards.launch(api, script, size=8)
    await boards.end(api, launch, 1, 3, "completed", output="all is well\n", diff="+/ip address add")
    await boards.end(api, launch, 4, 4, "failed", output=HOSTILE)
    await boards.end(api, launch, 5, 5, "unknown")
    await boards.end(api, launch, 6, 6, "skipped")
    await boards.run(api, launch, 7, 7, "backing_up")
    return script, launch


async def run_id(api: Api, launch: str, position: int) -> int:
    return int(
        await api.db.value(
            "select id from tminus.site_runs where launch_id = $1::uuid and position = $2", launch, position
        )
    )


def forbids(reply: Reply) -> None:
    """What each answer of the board tells a browser."""
    policy = dict(
        part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";") if part.strip()
    )
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self'", "connect-src": "'self'",
        "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
    }  # fmt: skip
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "same-origin"
    assert reply.headers["Cache-Control"] == "no-store"
    assert "Content-Encoding" not in reply.headers
    lowered = reply.text.lower()
    assert " style=" not in lowered
    assert " onclick=" not in lowered
    assert "<script>" not in lowered


async def test_each_page_is_shown_and_has_the_strict_headers(api: Api) -> None:
    script, launch = await launched(api)
    run = await run_id(api, launch, 4)
    async with visitor(api) as bob:
        for path in (
            "/board/", f"/board/launches/{launch}", f"/board/launches/{launch}/parts", f"/board/launches/{launch}?outcome=failed",
            f"/board/launches/{launch}?site=site-0", f"/board/runs/{run}", f"/board/scripts/{script}", "/board/history",
            "/board/scripts", "/board/events", f"/board/events?launch={launch}", f"/board/events?script={script}", "/board/sites",
            "/board/sites/site-01", "/board/login",
        ):  # fmt: skip
            reply = await bob.get(path)
            assert (reply.status, path) == (200, path), reply.text
            forbids(reply)
        for path in (
            "/board/nothing",
            "/board/runs/999999",
            "/board/sites/none",
            "/board/launches/018f5bda-4690-4432-8472-358b2734f19b",
        ):
            reply = await bob.get(path)
            assert reply.status == 404
            forbids(reply)
            assert "That was not done" in reply.text


async def test_without_a_session_nothing_is_shown(api: Api) -> None:
    script, launch = await launched(api)
    run = await run_id(api, launch, 4)
    async with visitor(api, None) as nobody:
        for path in ("/board/", f"/board/launches/{launch}", f"/board/scripts/{script}", f"/board/runs/{run}/output", "/board/stream",
                     f"/board/launches/{launch}/stream", "/board/events", f"/board/backups/{run}/before"):  # fmt: skip
            reply = await nobody.get(path)
            assert reply.status == 303
            assert reply.headers["Location"].startswith("/board/login?next=/board/")
            assert reply.text == ""
        # From a link in a letter a browser sends no cookie; from a page of ours it does.
        reply = await nobody.get(f"/board/scripts/{script}?a=1&b=2", Sec_Fetch_Site="cross-site")
        assert reply.status == 200
        assert f'content="0; url=/board/scripts/{script}?a=1&amp;b=2"' in reply.text
        assert SCRIPT.splitlines()[1] not in reply.text


async def test_a_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(api: Api) -> None:
    async with visitor(api, None) as somebody:
        reply = await somebody.post("/board/login", {"token": token("bob"), "next": "/board/history"})
        assert (reply.status, reply.headers["Location"]) == (303, "/board/history")
        cookie = reply.headers["Set-Cookie"]
        assert cookie.startswith("tminus=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "Secure" not in cookie  # on this machine
        assert "bob" in await somebody.see("/board/history")
        # Elsewhere it travels over TLS alone.
        reply = await somebody.post(
            "/board/login", {"token": token("bob")}, origin="https://board.example", Host="board.example"
        )
        cookie = reply.headers["Set-Cookie"]
        assert cookie.startswith("__Host-tminus=")
        assert "Secure" in cookie
        assert "Domain" not in cookie


@pytest.mark.parametrize(
    ("bearer", "says"),
    [
        ("", "send a token"),
        ("nonsense", "no JSON Web Token"),
        (token("bob", valid=timedelta(hours=-1)), "expired"),
        (token("bob", valid=timedelta(seconds=-3)), "expired"),
        (token("bob", "script:run"), "script:view"),
        (token("bob", audience="others"), "audience"),
    ],
)
async def test_a_token_that_is_not_good_logs_nobody_in(api: Api, bearer: str, says: str) -> None:
    async with visitor(api, None) as somebody:
        reply = await somebody.log_in(bearer)
        assert reply.status in (401, 403)
        assert says in reply.text
        assert "Set-Cookie" not in reply.headers
        assert not bearer or bearer not in reply.text
        forbids(reply)


async def test_after_the_log_in_nobody_is_sent_elsewhere(api: Api) -> None:
    async with visitor(api, None) as somebody:
        for target in (
            "https://evil.example/",
            "//evil.example/",
            "/\\evil.example",
            "javascript:alert(1)",
            "/scripts/scheduled",
            "/board/\\x",
        ):
            reply = await somebody.post("/board/login", {"token": token("bob"), "next": target})
            assert reply.headers["Location"] == "/board/"


async def test_a_session_ends_by_logging_out_and_with_its_token(api: Api) -> None:
    async with visitor(api) as bob, visitor(api, "carol") as carol:
        page = await bob.see("/board/")
        reply = await bob.post("/board/logout", {"csrf": "wrong"})
        kept = {cookie.key: cookie.value for cookie in bob.session.cookie_jar}
        reply = await bob.post("/board/logout", {"csrf": field_of(page, "csrf")})
        assert reply.status == 303
        bob.session.cookie_jar.update_cookies(kept)
        assert (await bob.get("/board/")).status == 303
        assert (await carol.get("/board/")).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": None},
        {"origin": None, "Sec_Fetch_Site": "cross-site"},
        {"origin": "own", "Sec_Fetch_Site": "same-site"},
    ],
)
async def test_a_form_of_another_site_does_nothing(api: Api, sent: dict[str, str | None]) -> None:
    script = await submit(api)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{script}")
        form = {"csrf": field_of(page, "csrf"), "digest": field_of(page, "digest")}
        origin = sent.pop("origin")
        reply = await bob.post(f"/board/scripts/{script}/authorize", form, origin=origin, **sent)  # type: ignore[arg-type]
        assert reply.status == 403
        forbids(reply)
        reply = await bob.post("/board/login", {"token": token("mallory")}, origin=origin, **sent)  # type: ignore[arg-type]
        assert reply.status == 403
    assert (await api("GET", f"/scripts/scheduled/{script}")).json()["status"] == "unauthorized"


@pytest.mark.parametrize("secret", ["", "wrong", "é"])
async def test_a_form_without_the_secret_of_its_session_does_nothing(api: Api, secret: str) -> None:
    script = await submit(api)
    async with visitor(api) as bob, visitor(api, "carol") as carol:
        page = await bob.see(f"/board/scripts/{script}")
        for csrf in (secret, field_of(await carol.see("/board/"), "csrf")):
            form = {"csrf": csrf, "digest": field_of(page, "digest")}
            assert (await bob.post(f"/board/scripts/{script}/authorize", form)).status == 403
    assert (await api("GET", f"/scripts/scheduled/{script}")).json()["status"] == "unauthorized"


async def test_opening_pages_changes_nothing(api: Api) -> None:
    script, launch = await launched(api)
    waiting = await submit(api)
    before = await api.db.value("select count(*) from tminus.events")
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{waiting}")
        for path in (f"/board/scripts/{waiting}", f"/board/launches/{launch}", "/board/"):
            await bob.see(path)
        for name in (
            "authorize",
            "withdraw",
            "cancel",
            "rehearse",
            "pause",
            "resume",
            "retry",
            "request-authorization",
            "confirm-wave",
        ):
            reply = await bob.get(
                f"/board/scripts/{waiting}/{name}?digest={field_of(page, 'digest')}&csrf={field_of(page, 'csrf')}"
            )
            assert reply.status in (404, 405)
            assert (await bob.get(f"/board/scripts/{script}/{name}")).status in (404, 405)
    assert await api.db.value("select count(*) from tminus.events") == before


async def test_what_is_authorized_is_what_was_shown_by_whom_the_token_names(api: Api) -> None:
    script = await submit(api, description="Shown and meant")
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{script}")
        for part in ("Shown and meant", "/ip service disable telnet", "20 sites", "site-01", "2035-01-01 02:00:00 UTC",
                     "never seen", "all sites in one wave", await api.digest(script)):  # fmt: skip
            assert part in page, part
        reply = await bob.act(
            script, "authorize", page, digest=field_of(page, "digest"), reason="looks right", read="yes"
        )
        assert (reply.status, reply.headers["Location"]) == (303, f"/board/scripts/{script}?done=authorize")
        page = await bob.see(reply.headers["Location"])
        assert "Authorized." in page
        shown = (await api("GET", f"/scripts/scheduled/{script}")).json()
        assert (shown["status"], shown["authorized_by"]) == ("scheduled", "bob")
        assert (
            await api.db.value("select reason from tminus.authorizations where script_id = $1::uuid", script)
            == "looks right"
        )
        reply = await bob.act(script, "withdraw", page, reason="on second thoughts")
        assert reply.status == 303
        shown = (await api("GET", f"/scripts/scheduled/{script}")).json()
        assert (shown["status"], "on second thoughts" in shown["status_reason"]) == ("unauthorized", True)


async def test_the_author_is_not_offered_the_form_and_is_refused(api: Api) -> None:
    script = await submit(api)
    async with visitor(api, "alice") as alice:
        page = await alice.see(f"/board/scripts/{script}")
        assert "somebody else has to authorize it" in page
        assert 'name="digest"' not in page
        reply = await alice.act(script, "authorize", page, digest=await api.digest(script))
        assert reply.status == 403
    assert (await api("GET", f"/scripts/scheduled/{script}")).json()["status"] == "unauthorized"


async def test_a_digest_that_is_not_that_of_the_script_any_more_is_refused_and_what_changed_is_shown(api: Api) -> None:
    script = await submit(api)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{script}")
        change = {"script": SCRIPT + ":beep\n", "sites": SITES[:19], "max_concurrency": 3}
        (await api("PUT", f"/scripts/scheduled/{script}", change)).json()
        reply = await bob.act(script, "authorize", page, digest=field_of(page, "digest"), read="yes")
        assert reply.status == 409
        forbids(reply)
        assert "Not authorized: it was changed after you read it" in reply.text
        for part in ("+:beep", "sites removed: site-20", "at once: was as many as the daemons can, is 3"):
            assert part in html.unescape(reply.text), part
        assert (await api("GET", f"/scripts/scheduled/{script}")).json()["status"] == "unauthorized"
        # The page is that of the script as it is now: who has read it can authorize from here.
        assert field_of(reply.text, "digest") == await api.digest(script)
        again = await bob.act(script, "authorize", reply.text, digest=field_of(reply.text, "digest"), read="yes")
        assert again.status == 303
    assert (await api("GET", f"/scripts/scheduled/{script}")).json()["status"] == "scheduled"


async def test_forms_need_the_scopes_of_the_api(api: Api) -> None:
    script, launch = await launched(api)
    waiting = await submit(api)
    async with visitor(api, "bob", "script:view") as looker:
        page = await looker.see(f"/board/scripts/{waiting}")
        assert 'method="post" action="/board/scripts/' not in page
        for path in (f"/board/launches/{launch}", f"/board/launches/{launch}/parts"):
            assert 'method="post" action="/board/scripts/' not in await looker.see(path)
        for name, form in (
            ("authorize", {"digest": await api.digest(waiting)}), ("cancel", {}), ("rehearse", {}), ("pause", {"note": "x"}),
            ("resume", {}), ("retry", {}), ("withdraw", {"reason": "x"}), ("request-authorization", {}), ("confirm-wave", {"wave": "2"}),
        ):  # fmt: skip
            for one in (waiting, script):
                reply = await looker.post(f"/board/scripts/{one}/{name}", {"csrf": field_of(page, "csrf"), **form})
                assert reply.status == 403
                assert "scope" in reply.text


async def test_a_launch_is_paused_resumed_and_cancelled(api: Api) -> None:
    script, launch = await launched(api)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/launches/{launch}")
        reply = await bob.act(script, "pause", page, note="smoke", back=launch)
        assert reply.headers["Location"] == f"/board/launches/{launch}?done=pause"
        page = await bob.see(reply.headers["Location"])
        assert "paused" in page
        assert "by bob: smoke" in " ".join(html.unescape(page).split())
        assert "smoke" in await bob.see("/board/")
        assert (await bob.act(script, "resume", page, back=launch)).status == 303
        assert await api.db.value("select paused_by from tminus.launches where id = $1::uuid", launch) is None
        assert (await bob.act(script, "cancel", page, back=launch)).status == 303
        page = await bob.see(f"/board/launches/{launch}")
        assert await api.db.value(
            "select count(*) from tminus.site_runs where launch_id = $1::uuid and reason = 'cancelled'", launch
        ) == 13  # fmt: skip
        reply = await bob.act(script, "pause", page, note="again", back=launch)
        assert reply.status == 409


async def test_a_wave_that_waits_is_let_go_by_the_number_that_was_shown(api: Api) -> None:
    script = await submit(api, sites=SITES[:4])
    launch = await boards.launch(api, script, size=2)
    await boards.end(api, launch, 1, 2, "completed")
    await api.db.run(
        "set session_replication_role = replica;"
        f" update tminus.launches set wave_confirm = true, asked_wave = 2, open_to = 2 where id = '{launch}'"
    )
    async with visitor(api) as bob:
        assert "wave 2 waits for you" in await bob.see("/board/")
        page = await bob.see(f"/board/launches/{launch}")
        assert "Let wave 2 go" in page
        assert (await bob.act(script, "confirm-wave", page, wave="3", back=launch)).status == 409
        assert (await bob.act(script, "confirm-wave", page, wave="2", back=launch)).status == 303
    assert await api.db.value("select confirmed_wave from tminus.launches where id = $1::uuid", launch) == 2


@pytest.mark.parametrize(
    ("state", "offered"), [("finished", True), ("halted", True), ("cancelled", False), ("missed", False)]
)
async def test_a_retry_is_offered_where_the_database_would_not_refuse_it(
    api: Api, state: str, *, offered: bool
) -> None:
    script = await submit(api, sites=SITES[:2])
    launch = await boards.launch(api, script)
    await boards.end(api, launch, 1, 2, "skipped")
    await boards.finish(api, launch, state)
    async with visitor(api) as bob:
        for path in (f"/board/launches/{launch}", f"/board/launches/{launch}/parts"):
            assert (f'action="/board/scripts/{script}/retry"' in await bob.see(path)) is offered
        if not offered:
            assert (await bob.act(script, "retry", back=launch)).status == 409


async def test_steps_say_no_more_than_what_is_known(api: Api) -> None:
    script = await submit(api, sites=SITES[:3], make_backup=False)
    launch = await boards.launch(api, script)
    await api.db.run(
        f"set session_replication_role = replica; update tminus.launches set make_backup = false where id = '{launch}'"
    )
    await boards.end(api, launch, 1, 1, "unknown")
    await boards.end(api, launch, 2, 2, "offline")
    await boards.run(api, launch, 3, 3, "checking")
    async with visitor(api) as bob:

        async def steps(position: int) -> list[tuple[str, str]]:
            page = await bob.see(f"/board/runs/{await run_id(api, launch, position)}")
            return re.findall(r'<li class="(\w+)">(\w+)', page.split('class="steps"')[1].split("</ol>")[0])

        began = [("done", "connecting"), ("done", "checking"), ("begun", "executing"), ("ahead", "verifying")]
        assert await steps(1) == began
        assert {state for state, _ in await steps(2)} == {"ahead"}
        assert [state for state, _ in await steps(3)] == ["done", "now", "ahead", "ahead"]


async def test_somebody_says_what_an_unknown_run_did(api: Api) -> None:
    _, launch = await launched(api)
    run = await run_id(api, launch, 5)
    async with visitor(api) as bob, visitor(api, "carol", "script:view") as carol:
        assert "<select" not in await carol.see(f"/board/runs/{run}")
        page = await bob.see(f"/board/runs/{run}")
        assert "Somebody has to look at this router" in page
        form = {"csrf": field_of(page, "csrf"), "verdict": "failed/none", "note": "telnet is still on"}
        refused = await carol.post(
            f"/board/runs/{run}/resolve", {**form, "csrf": field_of(await carol.see("/board/"), "csrf")}
        )
        assert refused.status == 403
        for wrong in ({"verdict": "wonderful"}, {"note": " "}, {"stop_job": "perhaps"}):
            assert (await bob.post(f"/board/runs/{run}/resolve", {**form, **wrong})).status == 422
        reply = await bob.post(f"/board/runs/{run}/resolve", {**form, "stop_job": "true"})
        assert (reply.status, reply.headers["Location"]) == (303, f"/board/runs/{run}?done=resolve")
        page = await bob.see(reply.headers["Location"])
        assert "failed by bob" in page
        assert "telnet is still on" in page
        assert "Its job on the router is to be stopped." in page
        assert "<select" not in page
        assert (await bob.post(f"/board/runs/{run}/resolve", form)).status == 409


async def test_sites_are_a_grid_with_a_word_each_and_what_they_came_to_in_groups(api: Api) -> None:
    _, launch = await launched(api)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/launches/{launch}")
        for title in ("site-01: completed", "site-04: failed", "site-05: unknown", "site-06: skipped", "site-07: running: backing up",
                      "site-20: pending"):  # fmt: skip
            assert f'title="{title}"' in page
        assert page.count('title="site-') == 20
        assert "Wave 3" in page
        assert "3 sites completed" in page
        assert "Output, the same on all 3" in page
        assert "13 sites pending" in page
        listed = (await bob.see(f"/board/launches/{launch}?outcome=failed")).split('id="listed"')[1]
        assert "site-04" in listed
        assert "site-05" not in listed


async def test_what_a_router_said_is_text_whatever_it_is(api: Api) -> None:
    _, launch = await launched(api, description=f"{HOSTILE}")
    run = await run_id(api, launch, 4)
    async with visitor(api, "<b>eve</b>") as eve:
        for path in ("/board/", f"/board/launches/{launch}", f"/board/launches/{launch}/parts", f"/board/runs/{run}", "/board/history",
                     f"/board/launches/{launch}?site=%3Cscript%3E{{{{7*7}}}}"):  # fmt: skip
            page = await eve.see(path)
            for evil in ("<script>alert", "<img", "<b>eve", "\u202e", "\x1b", " 49 "):
                assert evil not in page, (path, evil)
        page = await eve.see(f"/board/runs/{run}")
        assert r"\u202egnp.exe" in page
        assert r"\x1b[31mred" in page
        whole = await eve.get(f"/board/runs/{run}/output")
        assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert r"\u202egnp.exe" in whole.text
        forbids(Reply(whole.status, "", whole.headers))


async def test_of_a_very_long_text_the_beginning_is_shown_and_the_whole_can_be_had(api: Api) -> None:
    script = await submit(api, sites=["site-01"])
    launch = await boards.launch(api, script)
    await boards.end(api, launch, 1, 1, "completed", output="x" * 5_000_000 + "\nlast", diff="+y\n" * 100_000)
    run = await run_id(api, launch, 1)
    async with visitor(api) as bob:
        for path in (f"/board/runs/{run}", f"/board/launches/{launch}"):
            assert len(await bob.see(path)) < 200_000
        page = await bob.see(f"/board/runs/{run}")
        assert "5 000 005 characters in all" in page
        assert (await bob.get(f"/board/runs/{run}/output")).text == "x" * 5_000_000 + "\nlast"


async def test_where_variables_are_each_site_is_shown_as_it_is_given_the_script(api: Api) -> None:
    await api.db.run(
        "update tminus.sites set variables = jsonb_build_object('name', 'router of ' || id) where id <> 'site-03'"
    )
    script = await submit(
        api, script="/system identity set name=$(name)\n", variables={"name": "the others"}, sites=SITES[:3]
    )
    async with visitor(api) as bob:
        page = html.unescape(await bob.see(f"/board/scripts/{script}"))
        assert "As site-01 is given it" in page
        assert '/system identity set name="router of site-01"' in page
        page = html.unescape(await bob.see(f"/board/scripts/{script}?site=site-03"))
        assert '/system identity set name="the others"' in page


async def test_a_variable_of_a_site_is_shown_as_it_is_written(api: Api) -> None:
    written = r"""{"key": "a&b<c>\" ü' \u202e"}"""
    await api.db.fetch("update tminus.sites set variables = $1 where id = 'site-01'", written)
    script = await submit(api, script="/system identity set name=$(key)\n", sites=SITES[:1])
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{script}")
    assert "<c>" not in page
    assert r"""$(key)="a&b<c>\" ü' \u202e" """ in html.unescape(page.replace("</span>", " "))


async def test_comparing_two_long_scripts_holds_up_nobody(api: Api) -> None:
    # Lines that stand still between lines that differ: what takes longest to compare.
    seen, now = (
        "".join(f":put {n}\n" if n % 2 else f":{verb} {n}\n" for n in range(5_000)) for verb in ("log", "beep")
    )
    began = time.thread_time()
    lines_between(seen, now, "what you saw")
    comparing = time.thread_time() - began
    script = await submit(api, script=seen)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{script}")
        (await api("PUT", f"/scripts/scheduled/{script}", {"script": now})).json()
        began = time.thread_time()
        reply = await bob.act(script, "authorize", page, digest=field_of(page, "digest"), read="yes")
        # The loop of the daemon is that of this test: all else that it does for the answer takes far less.
        assert time.thread_time() - began < comparing / 2
    assert reply.status == 409
    assert "+:beep 0" in reply.text


async def test_the_approver_is_given_what_is_signed_where_daemons_ask_for_it(api: Api) -> None:
    script = await submit(api)
    await api.db.run(
        "set session_replication_role = replica; insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl,"
        " requires_signature) values (gen_random_uuid(), 'strict', 'h', 1, '1', 1, '1 hour', true)"
    )
    async with visitor(api) as bob:
        page = html.unescape(await bob.see(f"/board/scripts/{script}"))
        assert "asked for by strict" in page
        assert "ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n tminus-authorization@v1 statement" in page
        statement = str(await api.db.value("select tminus.statement($1::uuid, 'bob')", script, role="api"))
        assert f"cat > statement <<'EOF'\n{statement}\nEOF" in page
        reply = await bob.act(script, "authorize", page, digest=field_of(page, "digest"))
        assert reply.status in (403, 409, 422)
        signed = "-----BEGIN SSH SIGNATURE-----\r\nabc\r\n-----END SSH SIGNATURE-----"
        reply = await bob.act(script, "authorize", page, digest=field_of(page, "digest"), signature=signed)
        assert reply.status == 303
        kept = await api.db.value("select signature from tminus.authorizations where script_id = $1::uuid", script)
        assert kept == signed.replace("\r", "")


async def test_what_needs_somebody_is_said_first(api: Api) -> None:
    suspect, launch = await launched(api)
    run = await run_id(api, launch, 5)
    await api.db.run(
        "set session_replication_role = replica;"
        " insert into tminus.crashes (script_id, instance_id, launch_id, is_alone)"
        f" select '{suspect}', gen_random_uuid(), '{launch}', false from generate_series(1, 2);"
        f" insert into tminus.busy_sites (site_run_id, site_id, look_at) values ({run}, 'site-05', tminus.clock())"
    )
    await api.db.fetch(
        "select tminus.freeze(null, tminus.clock() + interval '1 hour', 'fair in town', 'bob')", role="api"
    )
    await submit(api, description="Not yet looked at")
    async with visitor(api) as bob:
        needs = (await bob.see("/board/")).split('id="needs"')[1].split("</section>")[0]
        for part in (
            "No daemon is alive",
            "1 unknown",
            f"/board/runs/{run}",
            "1 router is kept busy",
            "a daemon died 2 times while it had this in hand",
            f"/board/scripts/{suspect}",
            "Not yet looked at",
            "fair in town",
        ):
            assert part in needs, part


async def test_history_is_searched_and_paged(api: Api) -> None:
    script, launch = await launched(api, description="Needle in history")
    other = [await submit(api, description=f"Straw {number}") for number in range(35)]
    async with visitor(api) as bob:
        for query in (
            "q=needle",
            "q=NEEDLE&site=site-01",
            "state=running&person=alice&q=needle",
            "q=needle&from=2020-01-01T00:00&to=2100-01-01T00:00",
        ):
            assert f"/board/launches/{launch}" in await bob.see(f"/board/history?{query}")
        for query in (
            "q=needle&site=site-99",
            "q=needle&state=finished",
            "q=needle&person=carol",
            "q=needle&to=2020-01-01T00:00",
            "q=%25",
        ):
            assert f"/board/launches/{launch}" not in await bob.see(f"/board/history?{query}")
        seen: set[str] = set()
        page = await bob.see("/board/scripts?q=straw&state=unauthorized")
        while True:
            seen |= {one for one in other if f"/board/scripts/{one}" in page}
            if 'class="pager"' not in page:
                break
            page = await bob.see(html.unescape(page.split('class="pager"><a class="button" href="')[1].split('"')[0]))
        assert seen == set(other)
        assert f"/board/scripts/{script}" in await bob.see("/board/scripts?q=needle")
        too_late = "9999-12-31T23:59:59-14:00"
        for query in (
            "state=wrong", "from=yesterday", "cursor=zzz", f"to={too_late}", f"cursor={make_cursor(too_late, UUID(int=0))}",
        ):  # fmt: skip
            assert (await bob.get(f"/board/history?{query}")).status == 422


async def test_a_site_shows_its_runs_and_its_backups(api: Api) -> None:
    await add_sites(api.db, "a/b c%d")  # type: ignore[arg-type]
    script = await submit(api, sites=["a/b c%d"])
    launch = await boards.launch(api, script)
    await boards.end(api, launch, 1, 1, "completed")
    run = await run_id(api, launch, 1)
    await api.db.run(
        "set session_replication_role = replica; insert into tminus.backup_texts select sha256('kept'), 'kept';"
        " insert into tminus.sensitive_texts (sha256, text) values (sha256('open'), 'open hush-hush');"
        " insert into tminus.backups (site_id, launch_id, site_run_id, phase, taken_at, sha256, header, raw_bytes, sensitive_id)"
        " select r.site_id, r.launch_id, r.id, 'before', r.finished_at, sha256('kept'), '# header', 4, t.id"
        f" from tminus.site_runs r, tminus.sensitive_texts t where r.id = {run};"
        " update tminus.sites set sensitive_export = true, return_address = '192.0.2.99'"
    )
    async with visitor(api) as bob:
        listed = await bob.see("/board/sites?q=B%20C")
        path = html.unescape(listed.split('<td><a href="')[1].split('"')[0])
        page = await bob.see(path)
        assert f"/board/runs/{run}" in page
        assert f"/board/backups/{run}/before" in page
        assert "stored with secrets as well" in page
        assert "with secrets, where the daemon allows it" in page
        assert "<dt>return address</dt><dd>192.0.2.99</dd>" in page
        reply = await bob.get(f"/board/backups/{run}/before")
        assert (reply.text, reply.headers["Content-Type"]) == ("# header\nkept", "text/plain; charset=utf-8")
        assert (await bob.get(f"/board/backups/{run}/after")).status == 404


async def test_assets_are_named_by_their_contents_and_kept(api: Api) -> None:
    async with visitor(api, None) as nobody:
        page = await nobody.see("/board/login")
        for name in ("board.css", "board.js", "icon.svg"):
            path = page.split(f"/{name}")[0].rsplit('"', 1)[1] + f"/{name}"
            reply = await nobody.get(path)
            assert reply.status == 200
            assert "immutable" in reply.headers["Cache-Control"]
            assert (await nobody.get(f"/board/static/000000000000/{name}")).status == 404
        assert "://" not in page.replace(nobody.url, "")


async def test_with_the_board_switched_off_nothing_of_it_is_there(api: Api) -> None:
    async with serve(api.db) as plain, visitor(plain, None) as nobody:
        for path in ("/", "/board/", "/board/login"):
            assert (await nobody.get(path)).status == 404


async def test_the_board_and_the_api_are_one_address_with_one_limit_for_a_person(api: Api) -> None:
    async with serve(api.db, board=True, per_minute=8) as few, visitor(few) as bob:
        statuses = [(await bob.get("/board/")).status for _ in range(8)]
        assert statuses[:4] == [200] * 4
        assert statuses[-1] == 429
        assert (await few("GET", "/sites", person="bob")).status == 429


async def test_behind_a_proxy_forms_come_from_the_public_address(api: Api) -> None:
    async with serve(api.db, board=True, public_url="https://tminus.example/") as behind, visitor(behind, None) as bob:
        reply = await bob.post("/board/login", {"token": token("bob")}, origin="https://tminus.example")
        assert reply.status == 303
        assert reply.headers["Set-Cookie"].startswith("__Host-tminus=")
        for origin in ("http://tminus.example", "https://tminus.example.evil", "https://evil.example"):
            assert (await bob.post("/board/login", {"token": token("bob")}, origin=origin)).status == 403


async def test_what_is_no_form_is_refused(api: Api) -> None:
    script = await submit(api)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/scripts/{script}")
        csrf = field_of(page, "csrf")
        for form in (
            {"csrf": csrf, "surprise": "1"},
            {"csrf": csrf, "digest": "tminus1:no"},
            {"csrf": csrf},
            {"csrf": csrf, "digest": "x" * 70_000},
        ):
            reply = await bob.post(f"/board/scripts/{script}/authorize", form)
            assert reply.status in (400, 413, 422)
            forbids(reply)
        assert (await bob.post(f"/board/scripts/{script}/explode", {"csrf": csrf})).status == 404

"""What comes next, freezes, windows, caps, contacts and findings over HTTP; each in the name of the token's person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.web.conftest import Api, token
from tests.web.test_reading import launched
from tminus.web.call import make_cursor

pytestmark = pytest.mark.asyncio(loop_scope="module")


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


async def latest_event(api: Api) -> tuple[str, str, str]:
    (event,) = (await api("GET", "/events?limit=1")).json()
    return event["kind"], event["principal"], event["session"]


async def test_a_freeze_stops_starts_and_is_ended(api: Api) -> None:
    await api.db.run("update tminus.sites set tags = '{core}' where id = 'a'")
    made = await api.submit(launch_at=ahead(hours=1))
    frozen = (
        await api("POST", "/freezes", {"tag": "core", "until": ahead(hours=12), "reason": "storm"}, person="bob")
    ).json(201)
    assert (frozen["tag"], frozen["frozen_by"]) == ("core", "bob")
    assert await latest_event(api) == ("frozen", "bob", "api")
    assert (await api("GET", "/freezes")).json() == [frozen]
    (coming,) = [it for it in (await api("GET", "/upcoming")).json() if it["script_id"] == made["id"]]
    assert "frozen until" in coming["frozen"]
    assert (coming["authorized"], coming["sites"], coming["launch_at"]) == (False, 1, made["launch_at"])
    path = f"/freezes/{frozen['id']}/thaw"
    (await api("POST", path, {})).problem(422, "invalid", "note")
    assert (await api("POST", path, {"note": "it is over"}, person="carol")).json() == []
    assert await latest_event(api) == ("thawed", "carol", "api")
    (await api("POST", path, {"note": "again"})).problem(409, "conflict", "over already")
    (await api("POST", "/freezes/99999/thaw", {"note": "x"})).problem(404, "not_found")
    for body, status, code in (
        ({"until": ahead(hours=-1), "reason": "x"}, 422, "invalid"),
        ({"until": ahead(hours=1), "reason": " "}, 422, "invalid"),
        ({"until": ahead(hours=1), "reason": "x", "tag": "nowhere"}, 404, "not_found"),
    ):
        (await api("POST", "/freezes", body)).problem(status, code)


async def test_a_freeze_under_a_key_is_made_once(api: Api) -> None:
    body = {"until": ahead(hours=1), "reason": "once"}
    first, again = [await api("POST", "/freezes", body, Idempotency_Key="freeze-1") for _ in range(2)]
    assert first.json(201) == again.json(201)
    assert await api.db.value("select count(*) from tminus.freezes where reason = 'once'") == 1
    (await api("POST", f"/freezes/{first.json(201)['id']}/thaw", {"note": "done"})).json()


async def test_a_window_is_made_changed_and_removed(api: Api) -> None:
    span = {"begins": "2030-11-25T02:00:00.000000Z", "ends": "2030-11-25T05:00:00.000000Z"}
    body = {
        "weekly": ["Mon-Thu 22:00-04:00"],
        "timezone": "Europe/Berlin",
        "spans": [span],
        "scope": "tag",
        "tag": "core",
    }
    made = (await api("PUT", "/windows/night", body, person="carol")).json(201)
    assert {name: made[name] for name in body} == {**body, "weekly": ["mon-thu 22:00-04:00"]}
    assert (made["updated_by"], made["is_open"], made["opens_at"]) == ("carol", False, None), (
        "closed until it is planned"
    )
    assert await latest_event(api) == ("window_set", "carol", "api")
    assert (await api("GET", "/windows/night")).json() == made
    assert (await api("PUT", "/windows/night", made, person="dora")).json() == made, "put back, and no change"
    changed = (await api("PUT", "/windows/night", {"weekly": ["daily 22:00-04:00"]}, person="dora")).json()
    assert (changed["scope"], changed["tag"], changed["spans"], changed["updated_by"]) == ("named", None, [], "dora")
    assert changed in (await api("GET", "/windows")).json()
    named = await api.submit(windows=["night"])
    (await api("DELETE", "/windows/night")).problem(422, "invalid", f"{named['id']} names the window")
    await api("DELETE", f"/scripts/scheduled/{named['id']}")
    assert (await api("DELETE", "/windows/night", person="dora")).json() == changed
    assert await latest_event(api) == ("window_removed", "dora", "api")
    (await api("GET", "/windows/night")).problem(404, "not_found")
    (await api("DELETE", "/windows/night")).problem(404, "not_found")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "weekly"),
        ({"weekly": ["noon"]}, "weekly"),
        ({"weekly": ["daily 22:00-04:00"], "timezone": "Berlin"}, "timezone"),
        ({"weekly": ["daily 22:00-04:00"], "scope": "tag"}, "scope"),
        ({"spans": [{"begins": "2030-01-02T00:00:00Z", "ends": "2030-01-01T00:00:00Z"}]}, "spans"),
        ({"spans": [{"begins": "2030-01-02T00:00:00", "ends": "2030-01-03T00:00:00Z"}]}, "spans.0.begins"),
    ],
)
async def test_what_no_window_can_be_is_refused(api: Api, body: dict[str, object], field: str) -> None:
    assert list((await api("PUT", "/windows/bad", body)).problem(422, "invalid")["fields"]) == [field]
    (await api("GET", "/windows/bad")).problem(404, "not_found")


async def test_a_tag_is_capped_and_the_cap_lifted(api: Api) -> None:
    await api.db.run("update tminus.sites set tags = '{\"up link\"}' where id in ('b', 'c')")
    made = (await api("PUT", "/tag-caps/up%20link", {"max_running": 1}, person="bob")).json()
    assert (made["tag"], made["max_running"], made["running"], made["sites"], made["set_by"]) == (
        "up link",
        1,
        0,
        2,
        "bob",
    )
    assert await latest_event(api) == ("tag_capped", "bob", "api")
    assert (await api("PUT", "/tag-caps/up%20link", {"max_running": 0})).json()["max_running"] == 0
    assert [it["max_running"] for it in (await api("GET", "/tag-caps")).json()] == [0]
    (await api("PUT", "/tag-caps/up%20link", {"max_running": -1})).problem(422, "invalid", "max_running")
    assert (await api("DELETE", "/tag-caps/up%20link")).json()["max_running"] == 0
    assert (await api("GET", "/tag-caps")).json() == []
    (await api("DELETE", "/tag-caps/up%20link")).problem(404, "not_found")


async def test_contacts_are_kept(api: Api) -> None:
    body = {
        "person": "nina",
        "channel": "mail",
        "address": "nina@example.net",
        "news": ["finished"],
        "digest_every": 3600,
    }
    made = (await api("POST", "/contacts", body)).json(201)
    assert {name: made[name] for name in body} == body
    assert (made["enabled"], made["waiting"], made["last_failure"]) == (True, 0, None)
    all_news = (await api("POST", "/contacts", {**body, "news": None, "digest_every": None})).json(201)
    assert (all_news["id"], all_news["news"], all_news["digest_every"]) == (made["id"], None, None)
    assert (await api("GET", "/contacts?person=nina")).json() == [all_news]
    assert (await api("GET", "/contacts?person=nobody")).json() == []
    assert (await api("DELETE", f"/contacts/{made['id']}")).json()["enabled"] is False
    assert (await api("GET", "/contacts")).json() == [{**all_news, "enabled": False}]
    (await api("DELETE", "/contacts/99999")).problem(404, "not_found")
    for wrong in ({"address": "nobody"}, {"news": ["rubbish"]}, {"digest_every": 1}, {"channel": "fax"}):
        (await api("POST", "/contacts", {**body, **wrong})).problem(422, "invalid")


async def test_an_unknown_run_is_resolved_by_a_person(api: Api) -> None:
    _, launch = await launched(api, ["a", "b", "c"])
    (unknown,) = (await api("GET", f"/launches/{launch}/site-runs?outcome=unknown")).json()
    path = f"/site-runs/{unknown['id']}/resolve"
    (await api("POST", path, {"verdict": "completed"})).problem(422, "invalid", "note")
    found = (await api("POST", path, {"verdict": "failed/none", "note": "looked"}, person="bob")).json()
    assert (found["state"], found["outcome"], found["resolved_effect"]) == ("unknown", "failed", "none")
    assert (found["resolved_by"], found["resolution"]) == ("bob", "looked")
    (await api("POST", path, {"verdict": "completed", "note": "no"})).problem(409, "conflict", "resolved")
    (await api("POST", "/site-runs/99999/resolve", {"verdict": "completed", "note": "x"})).problem(404, "not_found")


async def test_who_may_authorize_has_the_job_of_an_unknown_run_stopped(api: Api) -> None:
    _, launch = await launched(api, ["a", "b", "c"])
    (unknown,) = (await api("GET", f"/launches/{launch}/site-runs?outcome=unknown")).json()
    path, verdict = f"/site-runs/{unknown['id']}/resolve", {"verdict": "failed/none", "note": "it pings for ever"}
    runs = token("carol", "script:view", "script:run")
    refused = await api("POST", path, {**verdict, "stop_job": True}, bearer=runs)
    refused.problem(403, "scope_missing", "script:authorize")
    assert await api.db.value("select count(*) from tminus.cleanup_debts where stop_job_by is not null") == 0
    (await api("POST", path, {**verdict, "verdict": "completed", "stop_job": True}, person="bob")).problem(
        422, "invalid"
    )
    (await api("POST", path, verdict, bearer=runs)).json()
    found = (await api("POST", path, {**verdict, "stop_job": True}, person="bob")).json()
    assert (found["resolved_by"], found["resolved_effect"]) == ("carol", "none")
    assert await api.db.value("select stop_job_by from tminus.cleanup_debts") == "bob"


async def test_a_wave_is_let_go_and_a_query_is_resolved(api: Api) -> None:
    script, launch = await launched(api, ["a", "b"])
    path = f"/scripts/scheduled/{script['id']}"
    (await api("POST", f"{path}/confirm-wave", {"wave": 2})).problem(409, "conflict", "wait for nobody")
    await api.db.run(
        "set session_replication_role = replica;"
        f" update tminus.launches set wave_confirm = true, waves = 3, wave = 1 where id = '{launch}'"
    )
    (await api("POST", f"{path}/confirm-wave", {"wave": 3})).problem(409, "conflict", "not the one that is next")
    assert (await api("POST", f"{path}/confirm-wave", {"wave": 2}, person="bob")).json()["id"] == script["id"]
    assert await latest_event(api) == ("wave_confirmed", "bob", "api")
    await api.db.run("update tminus.sites set tags = '{meant}' where id = 'c'")
    asked = await api.submit(sites=[], site_query={"tags": ["meant"]})
    resolved = (await api("POST", f"/scripts/scheduled/{asked['id']}/resolve-sites")).json()
    assert resolved["sites"] == ["c"]


async def test_sites_and_windows_are_changed_in_the_name_of_the_person_and_of_no_other_login(api: Api) -> None:
    await api("PUT", "/sites/named", {"address": "192.0.2.91"}, person="carol")
    assert await latest_event(api) == ("site_added", "carol", "api")
    await api("PUT", "/sites/named", {"address": "192.0.2.92"}, person="dora")
    assert await latest_event(api) == ("site_changed", "dora", "api")
    # What was said for one transaction is over with it, and who is no gateway may not say it.
    await api.db.fetch("update tminus.sites set name = 'x' where id = 'named'", role="api")
    assert await latest_event(api) == ("site_changed", "api", "api")
    async with api.db.anew("alice") as connection:  # type: ignore[attr-defined]
        await connection.execute("select set_config('tminus.acting_for', 'bob', false)")
        with pytest.raises(Exception, match="alice may not act for bob"):
            await connection.execute("select tminus.acting()")


async def test_what_is_authorized_is_run_now_by_somebody_who_did_not_write_it(api: Api) -> None:
    made = await api.submit()
    path = f"/scripts/scheduled/{made['id']}"
    (await api("POST", f"{path}/run", person="bob")).problem(409, "conflict", "Authorize it first")
    await api("POST", f"{path}/authorize", {"digest": await api.digest(made["id"])}, person="bob")
    (await api("POST", f"{path}/run")).problem(403, "not_allowed", "alice is the author")
    (await api("POST", f"{path}/run", {"reason": 5}, person="bob")).problem(422, "invalid", "reason")
    first, again = [
        await api("POST", f"{path}/run", {"reason": "the line is down"}, person="carol", Idempotency_Key="run-1")
        for _ in range(2)
    ]
    assert first.json()["status"] == "scheduled"
    assert first.text == again.text
    assert (await latest_event(api))[1:] == ("carol", "api")
    at, who = (
        await api.db.fetch("select run_now_at, run_now_by from tminus.scheduled_scripts where id = $1", made["id"])
    )[0]
    assert (at is not None, who) == (True, "carol")
    (await api("POST", f"{path}/run", person="bob")).problem(409, "conflict", "already, by carol")


async def test_a_script_is_tested_where_that_is_allowed(api: Api) -> None:
    made = await api.submit(test_site_id="c")
    path = f"/scripts/scheduled/{made['id']}/test"
    (await api("POST", path)).problem(403, "not_allowed", "not there for tests")
    await api.db.run(
        "update tminus.sites set allow_tests = true, host_key = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA' where id = 'c';"
        " insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl, credentials, test_sites)"
        " values (gen_random_uuid(), 'lab', 'lab', 1, '1', 1, interval '1 hour', '{default}', '{c}')"
    )
    reply = await api("POST", path, person="dora")
    launch = reply.json(202)
    assert (launch["kind"], launch["counts"]["pending"], launch["created_by"]) == ("test", 1, "dora")
    assert (await api("GET", reply.headers["Location"])).json() == launch
    (run,) = (await api("GET", f"/launches/{launch['id']}/site-runs")).json()
    assert run["site_id"] == "c"
    (await api("POST", path)).problem(409, "conflict", "being tested already")


async def test_what_needs_no_words_needs_no_body(api: Api) -> None:
    made = await api.submit()
    path = f"/scripts/scheduled/{made['id']}"
    (await api("POST", f"{path}/retry")).problem(409, "conflict", "not launched yet")
    (await api("POST", f"{path}/withdraw")).problem(415, "not_json")
    (await api("PUT", path)).problem(415, "not_json")


async def test_a_rule_whose_next_time_is_not_known_yet_is_listed_without_one(api: Api) -> None:
    made = await api.submit(launch_at=None, cron="0 3 * * *")
    (coming,) = [it for it in (await api("GET", "/upcoming")).json() if it["script_id"] == made["id"]]
    assert (coming["launch_at"], coming["cron"]) == (None, "0 3 * * *")


LAST = "9999-12-31T23:59:59-14:00"  # which is in the year 10000, by the clock of the database
FIRST = "0001-01-01T00:00:00+14:00"


@pytest.mark.parametrize("moment", [LAST, FIRST])
async def test_a_moment_that_no_clock_has_is_refused_wherever_it_is_given(api: Api, moment: str) -> None:
    body = {"description": "far", "script": ":put 1", "sites": ["a"]}
    for given in (
        {"launch_at": moment},
        {"cron": "0 3 * * *", "until": moment},
        {"launch_at": ahead(hours=1), "stop_starting_at": moment},
    ):
        (await api("POST", "/scripts/scheduled", body | given)).problem(422, "invalid")
    (await api("POST", "/freezes", {"until": moment, "reason": "far"})).problem(422, "invalid")
    for span in ({"begins": FIRST, "ends": ahead(hours=1)}, {"begins": ahead(hours=1), "ends": LAST}):
        (await api("PUT", "/windows/far", {"spans": [span]})).problem(422, "invalid")
    cursor = make_cursor(moment, UUID(int=0))
    (await api("GET", f"/scripts/scheduled?cursor={cursor}")).problem(422, "invalid", "cursor")

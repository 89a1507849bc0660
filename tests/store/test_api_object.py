"""`tminus.scheduled_script(id)`: the object of the scheduled-script API, key by key, and its countdown."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from tests.store.stage import Stage, WarmDb, add_sites, authorize, insert

pytestmark = pytest.mark.asyncio(loop_scope="module")

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
# The keys of the API's example, in its order, with the JSON types that it shows or describes.
KEYS: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "created_by": (str,),
    "test_site_id": (str, type(None)),
    "make_backup": (bool,),
    "abort_if_offline": (bool,),
    "description": (str,),
    "summary": (str, type(None)),
    "script": (str,),
    "status": (str,),
    "authorized_at": (str, type(None)),
    "cancelled_at": (str, type(None)),
    "launch_at": (str, type(None)),
    "t_minus": (str, type(None)),
    "started_at": (str, type(None)),
    "sites": (list,),
    "notify": (list,),
    "progress": (dict,),
    "created_at": (str,),
    "updated_at": (str,),
}
MOMENTS = [key for key in KEYS if key.endswith("_at")]


def check_shape(shown: dict[str, Any]) -> None:
    assert list(shown)[: len(KEYS)] == list(KEYS), "same keys, in the same order, ours after them"
    for key, types in KEYS.items():
        assert isinstance(shown[key], types), key
    for key in MOMENTS:
        assert shown[key] is None or MOMENT.fullmatch(shown[key]), key
    assert list(shown["progress"]) == ["completed", "failed", "pending"]
    listed = [site for sites in shown["progress"].values() for site in sites]
    assert sorted(listed) == sorted(shown["sites"]), "every site is in one list"


async def test_before_the_launch_every_site_is_pending(shared: WarmDb) -> None:
    script = await insert(shared, sites=["c", "a"], summary="s", test_site_id="b", notify=["x|1"], description="d")
    shown = await shared.script(script)
    check_shape(shown)
    assert (shown["id"], shown["created_by"], shown["status"]) == (str(script), "alice", "unauthorized")
    assert (shown["sites"], shown["notify"], shown["test_site_id"]) == (["c", "a"], ["x|1"], "b")
    assert (shown["authorized_at"], shown["started_at"], shown["cancelled_at"]) == (None, None, None)
    assert shown["progress"] == {"completed": [], "failed": [], "pending": ["c", "a"]}


async def test_authorized(shared: WarmDb) -> None:
    script = await insert(shared)
    await authorize(shared, script)
    shown = await shared.script(script)
    check_shape(shown)
    assert shown["status"] == "scheduled"
    assert shown["authorized_at"] is not None


async def test_cancelled_before_the_launch_no_site_will_run(shared: WarmDb) -> None:
    script = await insert(shared)
    await shared.fetch("select tminus.cancel($1)", script, role="alice")
    shown = await shared.script(script)
    check_shape(shown)
    assert (shown["status"], shown["progress"]["failed"]) == ("cancelled", ["a", "b", "c"])


async def test_while_it_runs_and_when_it_has_ended(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a", "b", "c", "d")
    shown = await stage.db.script(script)
    check_shape(shown)
    assert (shown["status"], shown["progress"]["pending"]) == ("launched", ["a", "b", "c", "d"])
    assert shown["started_at"] is not None
    claims = await stage.claim(instance)
    await stage.run_through(instance, claims["a"].id)
    await stage.execute(instance, claims["b"].id)
    await stage.db.fetch(
        "update tminus.site_runs set state = 'unknown', reason = 'daemon_lost', effect = 'unknown', finished_at = now() where id = $1",
        claims["b"].id,
        role="tminus_serve",
    )
    await stage.end(instance, claims["d"].id, state="failed")
    shown = await stage.db.script(script)
    check_shape(shown)
    assert shown["progress"] == {"completed": ["a"], "failed": ["b", "d"], "pending": ["c"]}
    await stage.run_through(instance, claims["c"].id)
    shown = await stage.db.script(script)
    check_shape(shown)
    assert shown["progress"] == {"completed": ["a", "c"], "failed": ["b", "d"], "pending": []}


async def test_missed(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await stage.db.submit(":put 1")
    await stage.db.move_clock(timedelta(hours=2))
    await stage.store.fetch("housekeeping")
    shown = await stage.db.script(script)
    check_shape(shown)
    assert (shown["status"], shown["progress"]["failed"], shown["started_at"]) == ("cancelled", ["a"], None)


async def test_the_answers_of_the_acts_are_this_object(shared: WarmDb) -> None:
    script = await insert(shared)
    check_shape(json.loads(await shared.value("select tminus.authorize($1, tminus.digest($1))", script, role="bob")))
    check_shape(json.loads(await shared.value("select tminus.cancel($1)", script, role="bob")))


async def test_every_role_may_ask_for_it_and_what_is_not_there_is_null(shared: WarmDb) -> None:
    script = await insert(shared)
    for role in ("alice", "bob", "api", "rita", "tminus_serve"):
        assert await shared.value("select tminus.scheduled_script($1)", script, role=role) is not None
    assert await shared.value("select tminus.scheduled_script(gen_random_uuid())", role="rita") is None


@pytest.mark.parametrize("zone", ["UTC", "America/St_Johns"])
async def test_moments_are_utc_whatever_the_session_says(shared: WarmDb, zone: str) -> None:
    async with shared.anew("rita") as connection:
        await connection.execute(f"set timezone = '{zone}'; set datestyle = 'German'; set intervalstyle = 'iso_8601'")
        shown = await connection.fetchval("select tminus.api_time('2025-11-01 02:00:05.25+00')")
    assert shown == "2025-11-01T02:00:05.250000Z"


@pytest.mark.parametrize(
    ("ahead", "shown"),
    [
        ("2 days", "in 2 days"),
        ("2 days 23 hours", "in 2 days"),
        ("-2 days", "2 days ago"),
        ("1 hour", "in 1 hour"),
        ("-1 hour", "1 hour ago"),
        ("59 minutes 59 seconds", "in 59 minutes"),
        ("1 minute", "in 1 minute"),
        ("1 second", "in 1 second"),
        ("0.4 seconds", "in 0 seconds"),
        ("0", "0 seconds ago"),
        ("7 days", "in 1 week"),
        ("20 days", "in 2 weeks"),
        ("-30 days", "1 month ago"),
        ("364 days", "in 12 months"),
        ("800 days", "in 2 years"),
    ],
)
async def test_the_countdown(shared: WarmDb, ahead: str, shown: str) -> None:
    assert await shared.value("select tminus.t_minus(tminus.clock() + $1::text::interval)", ahead) == shown


async def test_the_countdown_follows_the_clock(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(
        stage.db, launch_at=await stage.db.value("select tminus.clock() + interval '2 days 30 minutes 30 seconds'")
    )
    seen = []
    for step in (timedelta(0), timedelta(days=1, hours=1), timedelta(hours=23), timedelta(days=2)):
        await stage.db.move_clock(step)
        seen.append((await stage.db.script(script))["t_minus"])
    assert seen == ["in 2 days", "in 23 hours", "in 30 minutes", "1 day ago"]


async def test_no_time_no_countdown(shared: WarmDb) -> None:
    assert await shared.value("select tminus.t_minus(null)") is None
    assert await shared.value("select tminus.t_minus('infinity')") is None
    script = await insert(shared, cron="0 2 * * *")
    shown = await shared.script(script)
    check_shape(shown)
    assert (shown["launch_at"], shown["t_minus"], shown["cron"]) == (None, None, "0 2 * * *")

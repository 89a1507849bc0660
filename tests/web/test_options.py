"""Whatever a row of scheduled_scripts or sites can say, a body can: made, shown, put back, changed, and refused by name."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Api
from tminus.web.models import READ_ONLY, NewScript, NewSite, ScriptChange

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = "/scripts/scheduled"
_ROLLOUT = {
    "wave_sizes": ["1", "10", "25%"],
    "wave_order": ["lab", "edge"],
    "wave_pause": 90.5,
    "wave_confirm": True,
    "confirm_within": 7200,
    "max_failures": "5%",
    "max_failures_in_wave": "0",
    "max_offline": "3",
    "max_concurrency": 7,
    "stop_starting_at": "2035-01-01T06:00:00.000000Z",
    "expects_disconnect": True,
    "detached": True,
    "abort_if_offline": True,
    "guard_free_space": 1000000,
    "guard_cpu_load": 80,
    "post_checks": ["[:len [/ip route find gateway=10.0.0.1]] > 0", "true"],
}
_RULE = {
    "launch_at": None,
    "cron": "30 2 * * mon",
    "timezone": "Europe/Berlin",
    "missed_policy": "run_latest",
    "until": "2036-01-01T00:00:00.000000Z",
    "max_launches": 12,
    "start_within": 1800,
    "site_timeout": 90,
}


async def the_same(api: Api, made: dict[str, Any]) -> None:
    """What was read can be put back, and that is no edit; nor is the same wish once more."""
    back = (await api("PUT", f"{SCRIPTS}/{made['id']}", made)).json()
    assert {**back, "t_minus": ""} == {**made, "t_minus": ""}


async def test_waves_limits_and_guards_are_made_shown_and_put_back(api: Api) -> None:
    made = await api.submit(**_ROLLOUT)
    assert {name: made[name] for name in _ROLLOUT} == _ROLLOUT
    await the_same(api, made)
    path = f"{SCRIPTS}/{made['id']}"
    changed = (await api("PUT", path, {"wave_sizes": ["50%"], "wave_order": None, "max_offline": None})).json()
    assert (changed["wave_sizes"], changed["wave_order"], changed["max_offline"]) == (["50%"], None, None)
    assert changed["wave_pause"] == 90.5
    (await api("PUT", path, {"wave_sizes": None})).problem(422, "invalid", "go with wave_sizes")
    plain = {"wave_sizes": None, "wave_pause": None, "wave_confirm": False}
    assert (await api("PUT", path, plain)).json()["wave_sizes"] is None


async def test_a_rule_of_time_has_its_end_and_what_becomes_of_missed_ones(api: Api) -> None:
    made = await api.submit(**_RULE)
    assert {name: made[name] for name in _RULE} == _RULE
    await the_same(api, made)
    once = {"cron": None, "timezone": None, "launch_at": "2035-02-01T00:00:00Z"}
    path = f"{SCRIPTS}/{made['id']}"
    problem = (await api("PUT", path, once)).problem(422, "invalid", "go with cron")
    assert list(problem["fields"]) == ["missed_policy"]
    changed = (await api("PUT", path, {**once, "missed_policy": "skip", "until": None, "max_launches": None})).json()
    assert (changed["launch_at"], changed["cron"]) == ("2035-02-01T00:00:00.000000Z", None)


async def test_what_was_read_before_the_next_occurrence_was_planned_can_be_put_back(api: Api) -> None:
    read = await api.submit(**_RULE)
    path = f"{SCRIPTS}/{read['id']}"
    for planned in ("2034-01-02 01:30:00+00", "2034-01-09 01:30:00+00"):
        await api.db.run(
            "set session_replication_role = replica;"
            f" update tminus.scheduled_scripts set launch_at = '{planned}' where id = '{read['id']}'"
        )
        back = (await api("PUT", path, read)).json()
        assert (back["launch_at"][:10], back["updated_at"]) == (planned[:10], read["updated_at"]), "and that is no edit"
        read = back
    changed = (await api("PUT", path, {**read, "cron": "0 3 * * tue"})).json()
    assert (changed["cron"], changed["launch_at"]) == ("0 3 * * tue", None), "planned anew"


async def test_a_local_time_and_windows_are_made_shown_and_put_back(api: Api) -> None:
    await api("PUT", "/sites/tokyo", {"address": "192.0.2.81", "timezone": "Asia/Tokyo"})
    await api.db.run("insert into tminus.windows (name, weekly) values ('night', '{\"daily 22:00-04:00\"}')")
    made = await api.submit(sites=["a", "tokyo"], launch_at=None, local_time="2035-01-01T02:00:00", windows=["night"])
    assert (made["local_time"], made["windows"]) == ("2035-01-01T02:00:00", ["night"])
    assert made["launch_at"] == "2034-12-31T17:00:00.000000Z", "when it is first that time"
    await the_same(api, made)
    changed = (await api("PUT", f"{SCRIPTS}/{made['id']}", {"local_time": "2035-01-01T03:00"})).json()
    assert (changed["local_time"], changed["launch_at"]) == ("2035-01-01T03:00:00", "2034-12-31T18:00:00.000000Z")


@pytest.mark.parametrize("columns", [{}, _ROLLOUT, _RULE, {"launch_at": None, "local_time": "2035-01-01T02:00:00"},
                                     {"sites": [], "site_query": {"tags": ["x"]}}, {"launch_at": None, "cron": "@daily"}])  # fmt: skip
async def test_the_same_wish_again_is_the_same_and_another_one_is_not(api: Api, columns: dict[str, object]) -> None:
    chosen = str(uuid.uuid4())
    made = await api.submit(id=chosen, **columns)
    body = {"script": ":put hello", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z", "id": chosen, **columns}
    again = (await api("POST", SCRIPTS, body)).json(200)
    assert {**again, "t_minus": ""} == {**made, "t_minus": ""}
    assert [event["kind"] for event in (await api("GET", f"/events?script_id={chosen}")).json()] == ["submitted"]
    for other in ({"script": ":put other"}, {"max_failures": "9"}, {"start_within": 5}):
        (await api("POST", SCRIPTS, {**body, **other})).problem(409, "already_exists")
    (await api("POST", SCRIPTS, body, person="mallory")).problem(409, "already_exists")
    shown = (await api("GET", f"{SCRIPTS}/{chosen}")).json()
    assert {**shown, "t_minus": ""} == {**made, "t_minus": ""}, "and was not touched"


async def test_the_same_wish_again_leaves_its_authorization_alone(api: Api) -> None:
    chosen = str(uuid.uuid4())
    await api.submit(id=chosen, **_ROLLOUT)
    await api("POST", f"{SCRIPTS}/{chosen}/authorize", {"digest": await api.digest(chosen)}, person="bob")
    again = {"script": ":put hello", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z", "id": chosen, **_ROLLOUT}
    assert (await api("POST", SCRIPTS, again)).json(200)["status"] == "scheduled"
    (await api("POST", SCRIPTS, {**again, "script": ":put other"})).problem(409, "already_exists")
    assert (await api("GET", f"{SCRIPTS}/{chosen}")).json()["status"] == "scheduled"


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"wave_sizes": []}, "wave_sizes", "at least 1"),
        ({"wave_sizes": ["0"]}, "wave_sizes", "no size"),
        ({"wave_sizes": ["101%"]}, "wave_sizes.0", "pattern"),
        ({"wave_sizes": [5]}, "wave_sizes.0", "string"),
        ({"wave_pause": 5}, "wave_sizes", "go with wave_sizes"),
        ({"wave_sizes": ["1"], "wave_pause": 604801}, "wave_pause", "less than or equal"),
        ({"wave_sizes": ["1"], "wave_order": ["a,b"]}, "wave_order", "without commas"),
        ({"confirm_within": 59}, "confirm_within", "greater than or equal to 60"),
        ({"max_failures": "5 %"}, "max_failures", "pattern"),
        ({"max_failures": 5}, "max_failures", "string"),
        ({"windows": ["nowhere"]}, "windows", "no window 'nowhere'"),
        ({"windows": None}, "windows", "array"),
        ({"local_time": "2035-01-01T02:00:00"}, "local_time", "give no launch_at"),
        ({"launch_at": None, "local_time": "2035-02-30T02:00:00"}, "local_time", "day"),
        ({"launch_at": None, "local_time": "2035-01-01T02:00:00Z"}, "local_time", "pattern"),
        ({"stop_starting_at": "2035-01-01T02:00:00Z"}, "stop_starting_at", "after launch_at"),
        ({"stop_starting_at": "2035-01-01T03:00:00"}, "stop_starting_at", "timezone"),
        ({"missed_policy": "run_latest"}, "missed_policy", "go with cron"),
        ({"missed_policy": "replay"}, "missed_policy", "'skip' or 'run_latest'"),
        ({"until": "2035-01-01T02:00:00Z"}, "missed_policy", "go with cron"),
        ({"launch_at": None, "cron": "@daily", "max_launches": 0}, "max_launches", "greater than or equal to 1"),
        ({"launch_at": None, "cron": "@daily", "until": "2020-01-01T00:00:00Z"}, "until", "in the past"),
        ({"guard_version": "seven"}, "guard_version", "no range of versions"),
        ({"variables": {"x": "v" * 8193}}, "variables", "8192 bytes"),
        ({"site_query": {"tags": ["x"]}}, "sites", "not both"),
        ({"cron": "@daily"}, "launch_at", "not both"),
        ({"timezone": "UTC"}, "timezone", "goes with cron"),
        ({"script": " \n"}, "script", "empty"),
        ({"post_checks": ["true", "a\nb"]}, "post_checks", "no expression"),
        ({"post_checks": [""]}, "post_checks.0", "at least 1"),
    ],
)  # fmt: skip
async def test_what_breaks_a_rule_is_refused_with_the_name_of_the_field(
    api: Api, body: dict[str, object], field: str, words: str
) -> None:
    whole = {"script": ":put x", "sites": ["a"], "launch_at": "2035-01-01T02:00:00Z", **body}
    problem = (await api("POST", SCRIPTS, whole)).problem(422, "invalid")
    assert list(problem["fields"]) == [field], problem
    assert words in problem["fields"][field], problem


async def test_a_body_takes_every_column_that_is_a_clients(api: Api) -> None:
    """A column that comes one day is missed here, unless it is one of the database's own."""
    columns = (
        "select column_name as name from information_schema.columns where table_schema = 'tminus' and table_name = $1"
    )
    # A summary that was made from an older script would stay for good.
    own = READ_ONLY | {"id", "summary", "authorization_id", "summary_generated", "run_now_at", "run_now_by"}
    row = {row["name"] for row in await api.db.fetch(columns, "scheduled_scripts")}
    assert row - own == set(ScriptChange.model_fields)
    assert set(NewScript.model_fields) == set(ScriptChange.model_fields) | {"id"}
    learned = {"identity", "model", "serial", "version", "seen_host_key", "last_seen_at", "created_at", "updated_at"}
    learned |= {"allow_tests"}  # the owner's
    assert {row["name"] for row in await api.db.fetch(columns, "sites")} - learned == set(NewSite.model_fields)


async def test_the_page_of_the_api_names_every_field_of_a_body() -> None:
    page = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+)`", page[page.index("**A scheduled script**") : page.index("**PUT**")]))
    assert set(NewScript.model_fields) <= named


async def test_a_site_has_variables_of_its_own(api: Api) -> None:
    body = {"id": "own", "address": "192.0.2.71", "variables": {"zone": "b", "n": 5, "on": True}}
    site = (await api("POST", "/sites", body)).json(201)
    assert site["variables"] == body["variables"]
    again = {"address": "192.0.2.71"}
    assert (await api("PUT", "/sites/own", again)).json() == site, "what is left out stays"
    changed = (await api("PUT", "/sites/own", {**again, "variables": {"zone": "c"}})).json()
    assert changed["variables"] == {"zone": "c"}
    (event, *_) = (await api("GET", "/events?limit=1")).json()
    assert (event["kind"], event["site_id"]) == ("site_changed", "own")
    problem = (await api("PUT", "/sites/own", {**again, "variables": {"zone": "v" * 9000}})).problem(422, "invalid")
    assert list(problem["fields"]) == ["variables"]

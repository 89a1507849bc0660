"""A scheduled script that a client inserts or edits: what is refused and how, who is recorded, what an edit resets."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from tests.store.stage import SCRIPT, WarmDb, authorize, insert, insert_sql, refused
from tests.support import Db

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAST = datetime(2020, 1, 1, tzinfo=UTC)
FUTURE = datetime.now(UTC) + timedelta(days=2)

BAD_INPUT: dict[str, tuple[dict[str, object], str]] = {
    "an unknown site": ({"sites": ["a", "nowhere"]}, "unknown site: nowhere"),
    "unknown sites, some of many": (
        {"sites": [f"x{n}" for n in range(7)]},
        "unknown sites: x0, x1, x2, x3, x4 and 2 more",
    ),
    "no site": ({"sites": []}, "at least one site"),
    "a site twice": ({"sites": ["a", "b", "a"]}, "site a is named more than once"),
    "a null among the sites": ({"sites": ["a", None]}, "without nulls"),
    "nested sites": ({"sites": [["a"], ["b"]]}, "plain list of site ids"),
    "an unknown test site": ({"test_site_id": "nowhere"}, "unknown site: nowhere"),
    "a time in the past": ({"launch_at": PAST}, "launch_at 2020-01-01T00:00:00.000000Z lies in the past"),
    "a time beyond reason": ({"launch_at": datetime(9998, 1, 1, tzinfo=UTC)}, "more than ten years ahead"),
    "both cron and launch_at": ({"cron": "0 2 * * *", "launch_at": FUTURE}, "launch_at or cron, not both"),
    "neither cron nor launch_at": ({"launch_at": None}, "give launch_at (one launch) or cron (many)"),
    "a time zone without cron": ({"timezone": "Europe/Berlin"}, "timezone goes with cron"),
    "six cron fields": ({"cron": "0 0 2 * * *"}, "has 6 fields; it takes exactly five"),
    "four cron fields": ({"cron": "0 2 * *"}, "has 4 fields"),
    "an unknown @-name": ({"cron": "@reboot"}, "has 1 fields"),
    "a minute that does not exist": ({"cron": "60 2 * * *"}, "the minute field '60'"),
    "an hour that does not exist": ({"cron": "0 24 * * *"}, "the hour field '24'"),
    "day 0": ({"cron": "0 2 0 * *"}, "the day of month field '0'"),
    "a month that does not exist": ({"cron": "0 2 * 13 *"}, "the month field '13'"),
    "a day name as month": ({"cron": "0 2 * sun *"}, "the month field 'sun'"),
    "a range that ends in a name of another field": ({"cron": "0 2 * jan-sun *"}, "the month field 'jan-sun'"),
    "a weekday that does not exist": ({"cron": "0 2 * * 8"}, "the day of week field '8'"),
    "a cron extension": ({"cron": "0 2 L * *"}, "the day of month field 'L'"),
    "a falling range": ({"cron": "30-10 2 * * *"}, "the minute field '30-10'"),
    "a range of one, which croniter takes for all": ({"cron": "5-5 2 * * *"}, "the minute field '5-5'"),
    "a range over the weekend": ({"cron": "0 2 * * fri-mon"}, "the day of week field 'fri-mon'"),
    "step 0": ({"cron": "*/0 * * * *"}, "the minute field '*/0'"),
    "a step that never steps": ({"cron": "*/60 * * * *"}, "the minute field '*/60'"),
    "a step without a range": ({"cron": "5/10 * * * *"}, "the minute field '5/10'"),
    "an empty list member": ({"cron": "1,,2 * * * *"}, "the minute field '1,,2'"),
    "a zone that does not exist": (
        {"cron": "@daily", "timezone": "Mars/Olympus"},
        "there is no time zone 'Mars/Olympus'",
    ),
    "a zone in the wrong case, which zoneinfo has not": (
        {"cron": "@daily", "timezone": "europe/berlin"},
        "there is no time zone 'europe/berlin'",
    ),
    "an abbreviation, which zoneinfo has not": ({"cron": "@daily", "timezone": "PDT"}, "there is no time zone 'PDT'"),
    "a POSIX zone": ({"cron": "@daily", "timezone": "foo+3"}, "there is no time zone 'foo+3'"),
    "a day that the month has not": ({"cron": "0 0 31 2 *"}, "none of its months has such a day"),
    "a day that no month of a list has": ({"cron": "0 0 31 4,jun,9-11/2 *"}, "none of its months has such a day"),
    "such a day on any weekday": ({"cron": "* * 30-31 feb */2"}, "none of its months has such a day"),
    "no script": ({"script": None}, "script is null (Give the script"),
    "no start_within": ({"start_within": None}, "start_within is null (Leave start_within out"),
    "no site_timeout": ({"site_timeout": None}, "site_timeout is null (Leave"),
    "no make_backup": ({"make_backup": None}, "make_backup is null (Leave"),
    "no abort_if_offline": ({"abort_if_offline": None}, "abort_if_offline is null (Leave"),
    "no description": ({"description": None}, "description is null (Leave"),
    "no notify": ({"notify": None}, "notify is null (Leave"),
    "no detached": ({"detached": None}, "detached is null (Leave"),
    "no expects_disconnect": ({"expects_disconnect": None}, "expects_disconnect is null (Leave"),
    "no wave_confirm": ({"wave_confirm": None}, "wave_confirm is null (Leave"),
    "no windows": ({"windows": None}, "windows"),
    "no variables": ({"variables": None}, "variables is a JSON object"),
    "no missed_policy": ({"missed_policy": None}, "missed_policy is skip or run_latest"),
    "an empty script": ({"script": " \t\r\n"}, "the script is empty"),
    "a script over 1 MiB": ({"script": ":put " + "x" * 1048576}, "1048581 bytes long; at most 1048576 (1 MiB)"),
    "a script over 1 MiB by its bytes": ({"script": "é" * 524289}, "1048578 bytes long"),
    "start_within of nothing": ({"start_within": timedelta(0)}, "start_within must lie between 1 second and 7 days"),
    "start_within of weeks": ({"start_within": timedelta(days=8)}, "start_within must lie between"),
    "a site_timeout of days": ({"site_timeout": timedelta(days=2)}, "site_timeout must lie between"),
    "max_concurrency 0": ({"max_concurrency": 0}, "max_concurrency must lie between 1 and 100000"),
    "a description without end": ({"description": "x" * 2001}, "description takes at most 2000 bytes"),
    "a summary without end": ({"summary": "x" * 10001}, "summary 10000"),
    "a null among notify": ({"notify": ["x", None]}, "notify is a plain list"),
    "nested notify": ({"notify": [["x"], ["y"]]}, "notify is a plain list"),
    "a line break in notify": ({"notify": ["x\ny"]}, "notify is a plain list"),
    "a status": ({"status": "scheduled"}, "begins unauthorized"),
    "a started_at": ({"started_at": PAST}, "begins unauthorized"),
    "a finished_at": ({"finished_at": PAST}, "begins unauthorized"),
    "an authorization": ({"authorization_id": 1}, "begins unauthorized"),
    "an authorized_at": ({"authorized_at": PAST}, "begins unauthorized"),
    "an authorized_by": ({"authorized_by": "bob"}, "begins unauthorized"),
    "a cancelled_at": ({"cancelled_at": PAST}, "begins unauthorized"),
    "a created_at": ({"created_at": PAST}, "begins unauthorized"),
    "findings": ({"findings": "[]"}, "begins unauthorized"),
    "a mark of a generated summary": ({"summary_generated": True}, "begins unauthorized"),
    "a last editor who is not the author": ({"updated_by": "bob"}, "begins unauthorized"),
    "another author": ({"created_by": "arthur"}, "alice may not act for arthur"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
async def test_a_bad_insert_is_refused_with_a_sentence_and_changes_nothing(shared: WarmDb, case: str) -> None:
    columns, sentence = BAD_INPUT[case]
    assert sentence in await refused(shared, "alice", insert_sql(columns), *columns.values())


@pytest.mark.parametrize("case", [case for case in BAD_INPUT if "script over" not in case])
async def test_a_bad_edit_is_refused_just_the_same(shared: WarmDb, case: str) -> None:
    columns, _ = BAD_INPUT[case]
    script = await insert(shared)
    columns = {name: value for name, value in columns.items() if (name, value) != ("updated_by", "bob")}
    if not columns or case == "a created_at":
        columns = {"created_by": "arthur"}
    if case == "both cron and launch_at":
        columns = {"cron": "0 2 * * *", "launch_at": FUTURE}
    setting = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    await refused(
        shared, "alice", f"update tminus.scheduled_scripts set {setting} where id = $1", script, *columns.values()
    )


@pytest.mark.parametrize("script", ["a\0b", b"\xff".decode("latin-1")])
async def test_what_is_no_utf8_text_never_gets_in(shared: WarmDb, script: str) -> None:
    as_bytes = script.encode("latin-1")
    sql = insert_sql({"script": script}).replace("$1", "convert_from($1, 'UTF8')")
    assert "invalid byte sequence" in await refused(shared, "alice", sql, as_bytes)


@pytest.mark.parametrize("duration", ["infinity", "-infinity"])
async def test_a_duration_without_end_is_refused(shared: WarmDb, duration: str) -> None:
    if await shared.value("select current_setting('server_version_num')::int") < 170000:
        sentence = "invalid input syntax"
    else:
        sentence = "start_within must lie between"
    sql = insert_sql({"start_within": None}).replace("$1", f"'{duration}'::interval")
    assert sentence in await refused(shared, "alice", sql)


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
async def test_a_launch_time_without_end_is_refused(shared: WarmDb, moment: str) -> None:
    sql = insert_sql({"launch_at": None}).replace("$1", f"'{moment}'::timestamptz")
    await refused(shared, "alice", sql)


@pytest.mark.parametrize(
    "cron",
    ["0 2 * * *", "*/15 * * * *", "0 2 * * 1-5", "0 2 * * MON-FRI", "0 2 * * fri-sun", "0 2 * * 5-7", "0,30 9-17/2 1,15 jan-mar *",
     " 0\t2  * *   7 "],
)  # fmt: skip
async def test_a_cron_rule_is_stored_plainly_and_waits_for_its_first_occurrence(shared: WarmDb, cron: str) -> None:
    script = await insert(shared, cron=cron)
    row = (await shared.fetch("select cron, timezone, launch_at from tminus.scheduled_scripts where id = $1", script))[
        0
    ]
    assert (row["cron"], row["timezone"], row["launch_at"]) == (" ".join(cron.split()), "UTC", None)


async def test_an_at_name_becomes_five_fields(shared: WarmDb) -> None:
    script = await insert(shared, cron="@weekly", timezone="America/Port_of_Spain")
    assert await shared.value("select cron from tminus.scheduled_scripts where id = $1", script) == "0 0 * * 0"


async def test_all_zones_that_are_accepted_are_known_to_the_daemon(shared: WarmDb) -> None:
    from zoneinfo import available_timezones  # noqa: PLC0415

    names = {row["name"] for row in await shared.fetch("select name from tminus.timezones", role="alice")}
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"} <= names
    assert names <= available_timezones()


async def test_line_ends_become_lf_before_the_digest_is_taken(shared: WarmDb) -> None:
    script = await insert(shared, script=":put 1\r\n:put 2\r\n")
    assert await shared.value("select script from tminus.scheduled_scripts where id = $1", script) == ":put 1\n:put 2\n"


async def test_a_duration_in_months_and_days_is_stored_as_plain_time(shared: WarmDb) -> None:
    script = await insert(shared, start_within=timedelta(days=1))
    shown = await shared.value("select start_within::text from tminus.scheduled_scripts where id = $1", script)
    assert shown == "24:00:00"


async def test_an_insert_that_is_repeated_after_its_time_is_one_wish(clean: Db) -> None:
    await clean.fetch("insert into tminus.sites (id, name, address) values ('a', 'a', '192.0.2.1')", role="api")
    wish = uuid.uuid4()
    at = await clean.value("select tminus.clock() + interval '1 minute'")
    sql = insert_sql({"id": wish, "launch_at": at}).replace(" returning id", " on conflict do nothing returning id")
    assert await clean.value(sql, wish, at, role="alice") == wish
    await authorize(clean, wish)
    before = await clean.fetch("select * from tminus.scheduled_scripts")
    await clean.move_clock(timedelta(days=1))
    assert await clean.value(sql, wish, at, role="alice") is None
    assert await clean.fetch("select * from tminus.scheduled_scripts") == before
    assert await clean.value("select count(*) from tminus.events where kind = 'submitted'") == 1


async def test_an_upsert_that_changes_nothing_resets_nothing(shared: WarmDb) -> None:
    script = await insert(shared, script=":put 1\r\n", cron=None, launch_at=FUTURE, sites=["b", "a"])
    await authorize(shared, script)
    before = await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script)
    sql = (
        "insert into tminus.scheduled_scripts (id, script, sites, launch_at) values ($1, $2, $3, $4) on conflict (id) do update"
        " set script = excluded.script, sites = excluded.sites, launch_at = excluded.launch_at, updated_by = excluded.updated_by"
    )
    await shared.fetch(sql, script, ":put 1\r\n", ["b", "a"], FUTURE, role="alice")
    assert await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script) == before


async def test_an_upsert_of_a_cron_rule_that_leaves_its_zone_out_says_the_same_again(shared: WarmDb) -> None:
    sql = (
        "insert into tminus.scheduled_scripts (id, script, sites, cron, timezone) values ($1, ':put 1', '{a}', '0 2 * * *', $2)"
        " on conflict (id) do update set script = excluded.script, sites = excluded.sites, cron = excluded.cron,"
        " timezone = excluded.timezone"
    )
    script = uuid.uuid4()
    read = "select * from tminus.scheduled_scripts where id = $1"
    await shared.fetch(sql, script, None, role="alice")
    await authorize(shared, script)
    before = await shared.fetch(read, script)
    for zone in (None, "UTC"):
        await shared.fetch(sql, script, zone, role="alice")
        assert await shared.fetch(read, script) == before
    # Another zone is another time, and so is none where there was one.
    for zone, now in (("Asia/Tokyo", "Asia/Tokyo"), (None, "UTC")):
        await shared.fetch(sql, script, zone, role="alice")
        row = (await shared.fetch(read, script))[0]
        assert (row["status"], row["timezone"]) == ("unauthorized", now)
        await authorize(shared, script)


async def test_an_upsert_by_another_author_is_refused(shared: WarmDb) -> None:
    script = await insert(shared)
    sql = insert_sql({"id": script}).replace(" returning id", " on conflict (id) do update set script = ':put mine'")
    assert "belongs to alice, so arthur may not edit it" in await refused(shared, "arthur", sql, script)


EDITS: dict[str, object] = {
    "description": "another", "summary": "another", "script": ":put another", "sites": ["b", "a"], "test_site_id": "b",
    "make_backup": False, "abort_if_offline": True, "notify": ["somebody"], "launch_at": FUTURE,
    "start_within": timedelta(minutes=5), "site_timeout": timedelta(minutes=5), "max_concurrency": 3,
    "wave_sizes": ["1", "50%"], "confirm_within": timedelta(hours=2),
    "max_failures": "0", "max_failures_in_wave": "10%", "max_offline": "3",
    "guard_version": ">=7.12", "guard_free_space": 5, "guard_uptime": timedelta(minutes=5), "guard_cpu_load": 0, "variables": '{"n": 1}',
}  # fmt: skip


@pytest.mark.parametrize("column", EDITS)
async def test_an_edit_of_any_content_resets_the_authorization(shared: WarmDb, column: str) -> None:
    await check_that_an_edit_resets(shared, column, "alice")


@pytest.mark.parametrize("role", ["api", None])
async def test_whoever_edits_resets_the_authorization(shared: WarmDb, role: str | None) -> None:
    await check_that_an_edit_resets(shared, "script", role)


async def check_that_an_edit_resets(shared: WarmDb, column: str, role: str | None) -> None:
    script = await insert(shared, sites=["a", "b"])
    await authorize(shared, script)
    await shared.fetch(
        f"update tminus.scheduled_scripts set {column} = $2 where id = $1", script, EDITS[column], role=role
    )
    row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
    assert row["status"] == "unauthorized"
    assert (row["authorized_at"], row["authorized_by"], row["authorization_id"]) == (None, None, None)
    assert row["updated_by"] == (role or await shared.value("select session_user"))
    assert row["status_reason"] == f"edited by {row['updated_by']}"
    event = (await shared.fetch("select * from tminus.events where script_id = $1 and kind = 'edited'", script))[0]
    assert (event["principal"], event["session"]) == (row["updated_by"], row["updated_by"])
    assert column in event["detail"]


@pytest.mark.parametrize(
    "columns", [{"cron": "0 3 * * *"}, {"timezone": "Europe/Berlin"}, {"cron": "0 3 * * *", "timezone": "Asia/Tokyo"}]
)
async def test_an_edit_of_the_rule_of_time_drops_what_was_planned_by_the_old_one(
    shared: WarmDb, columns: dict[str, str]
) -> None:
    script = await insert(shared, cron="0 2 * * *")
    await authorize(shared, script)
    await shared.fetch("select tminus.plan($1, tminus.clock() + interval '5 hours')", script, role="tminus_serve")
    setting = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    await shared.fetch(
        f"update tminus.scheduled_scripts set {setting} where id = $1", script, *columns.values(), role="alice"
    )
    row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
    assert (row["status"], row["launch_at"]) == ("unauthorized", None)


async def test_other_edits_of_a_cron_row_keep_its_next_occurrence(shared: WarmDb) -> None:
    script = await insert(shared, cron="0 2 * * *")
    planned = await shared.value("select tminus.clock() + interval '5 hours'")
    await shared.fetch("select tminus.plan($1, $2)", script, planned, role="tminus_serve")
    await shared.fetch("update tminus.scheduled_scripts set description = 'x' where id = $1", script, role="alice")
    assert await shared.value("select launch_at from tminus.scheduled_scripts where id = $1", script) == planned


@pytest.mark.parametrize(
    "setting",
    ["launch_at = $2", "launch_at = $2, cron = '0 3 * * *'", "launch_at = null, description = $2::timestamptz::text"],
)
async def test_nobody_but_the_daemon_chooses_an_occurrence_since_the_digest_does_not_hold_it(
    shared: WarmDb, setting: str
) -> None:
    script = await insert(shared, cron="0 2 * * *")
    await shared.fetch("select tminus.plan($1, tminus.clock() + interval '5 hours')", script, role="tminus_serve")
    sql = f"update tminus.scheduled_scripts set {setting} where id = $1"
    assert "follows its cron" in await refused(shared, "alice", sql, script, FUTURE)


async def test_one_launch_may_become_many_and_many_one(shared: WarmDb) -> None:
    script = await insert(shared)
    await shared.fetch("update tminus.scheduled_scripts set cron = '0 2 * * *' where id = $1", script, role="alice")
    row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
    assert (row["cron"], row["timezone"], row["launch_at"]) == ("0 2 * * *", "UTC", None)
    await shared.fetch(
        "update tminus.scheduled_scripts set cron = null, timezone = null, launch_at = $2 where id = $1",
        script,
        FUTURE,
        role="alice",
    )
    row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
    assert (row["cron"], row["timezone"], row["launch_at"]) == (None, None, FUTURE)


PROTECTED: dict[str, object] = {
    "id": uuid.UUID(int=1), "created_by": "arthur", "status": "scheduled", "status_reason": "so", "started_at": PAST,
    "finished_at": PAST, "authorization_id": 1, "authorized_at": PAST, "authorized_by": "bob", "cancelled_at": PAST,
    "cancelled_by": "bob", "created_at": PAST, "updated_at": PAST,
}  # fmt: skip


@pytest.mark.parametrize("column", PROTECTED)
async def test_a_column_of_the_daemon_is_set_by_nobody(shared: WarmDb, column: str) -> None:
    script = await insert(shared)
    sql = f"update tminus.scheduled_scripts set {column} = $2, description = 'with it' where id = $1"
    for role in ("alice", "api", None):
        text = await refused(shared, role, sql, script, PROTECTED[column])
        assert f"column {column} of a scheduled script is not the client's to set; nothing was changed" in text


async def test_an_authorization_is_not_taken_back_by_update_either(shared: WarmDb) -> None:
    script = await insert(shared)
    await authorize(shared, script)
    for role in ("alice", "api", None):
        sql = "update tminus.scheduled_scripts set status = 'unauthorized', authorization_id = null where id = $1"
        assert "not the client's to set" in await refused(shared, role, sql, script)


async def test_another_author_may_not_edit(shared: WarmDb) -> None:
    script = await insert(shared)
    sql = "update tminus.scheduled_scripts set description = 'mine' where id = $1"
    assert f"scheduled script {script} belongs to alice, so arthur may not edit it" in await refused(
        shared, "arthur", sql, script
    )


class TestPrincipals:
    async def test_an_author_is_recorded_as_itself(self, shared: WarmDb) -> None:
        for columns in ({}, {"created_by": "alice"}):
            script = await insert(shared, **columns)
            row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
            assert (row["created_by"], row["updated_by"]) == ("alice", "alice")

    async def test_a_gateway_acts_for_a_person_who_is_recorded_beside_it(self, shared: WarmDb) -> None:
        script = await insert(shared, "api", created_by="carol")
        row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
        assert (row["created_by"], row["updated_by"]) == ("carol", "carol")
        event = (await shared.fetch("select * from tminus.events where script_id = $1", script))[0]
        assert (event["kind"], event["principal"], event["session"]) == ("submitted", "carol", "api")

    @pytest.mark.parametrize(
        ("setting", "editor"),
        [("updated_by = 'dora'", "dora"), ("updated_by = 'carol'", "carol"), ("updated_by = updated_by", "carol"),
         ("description = description", "api"), ("updated_by = null", "api"), ("updated_by = 'api'", "api")],
    )  # fmt: skip
    async def test_a_gateway_that_edits_is_the_person_it_names_or_itself(
        self, shared: WarmDb, setting: str, editor: str
    ) -> None:
        script = await insert(shared, "api", created_by="carol")
        await shared.fetch(
            f"update tminus.scheduled_scripts set script = ':put 2', {setting} where id = $1", script, role="api"
        )
        row = (await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script))[0]
        assert (row["created_by"], row["updated_by"]) == ("carol", editor)

    async def test_naming_an_editor_without_editing_changes_nothing(self, shared: WarmDb) -> None:
        script = await insert(shared, "api", created_by="carol")
        await authorize(shared, script)
        before = await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script)
        await shared.fetch("update tminus.scheduled_scripts set updated_by = 'dora' where id = $1", script, role="api")
        assert await shared.fetch("select * from tminus.scheduled_scripts where id = $1", script) == before

    async def test_an_author_may_name_itself_and_nobody_else_as_editor(self, shared: WarmDb) -> None:
        script = await insert(shared)
        sql = "update tminus.scheduled_scripts set script = ':put 2', updated_by = $2 where id = $1"
        for name in ("bob", "\x01bob", "\x01alice", "ALICE", "alice ", ""):
            assert "may not act for" in await refused(shared, "alice", sql, script, name)
        await shared.fetch(sql, script, "alice", role="alice")
        assert await shared.value("select updated_by from tminus.scheduled_scripts where id = $1", script) == "alice"

    @pytest.mark.parametrize("name", ["", "\x01carol", "car\nol", "x" * 201])
    async def test_a_gateway_names_a_person_in_printable_characters(self, shared: WarmDb, name: str) -> None:
        text = await refused(shared, "api", insert_sql({"created_by": name}), name)
        assert "a principal is 1 to 200 printable characters" in text

    async def test_the_rule_holds_behind_set_role(self, shared: WarmDb) -> None:
        """Who acts is the session's login: a role that was taken on changes nothing."""
        async with shared.anew("api") as connection:
            await connection.execute("set role tminus_gateway")
            script = await connection.fetchval(insert_sql({"created_by": "carol"}), "carol")
        event = (await shared.fetch("select * from tminus.events where script_id = $1", script))[0]
        assert (event["principal"], event["session"]) == ("carol", "api")


async def test_readers_approvers_and_the_daemon_submit_nothing(shared: WarmDb) -> None:
    script = await insert(shared)
    for role in ("rita", "bob", "tminus_serve"):
        assert "permission denied" in await refused(shared, role, insert_sql({}), clear=False)
        sql = "update tminus.scheduled_scripts set description = 'x' where id = $1"
        assert "permission denied" in await refused(shared, role, sql, script, clear=False)


async def test_the_settings_of_a_session_do_not_change_what_the_guards_mean(shared: WarmDb) -> None:
    """Regular expressions in the guards hold no backslashes, whose meaning a client could change."""
    if await shared.value("select count(*) from pg_settings where name = 'standard_conforming_strings'") == 0:
        pytest.skip("this server has no such setting")
    bodies: list[Any] = await shared.fetch(
        r"select proname from pg_proc where pronamespace = 'tminus'::regnamespace"
        r" and regexp_replace(prosrc, '[^a-z]e''[^'']*''', '', 'g') ~ '\\'"
    )
    assert bodies == []
    async with shared.anew("alice") as connection:
        with_warnings: list[asyncpg.PostgresLogMessage] = []
        connection.add_log_listener(lambda _, message: with_warnings.append(message))
        await connection.execute("set standard_conforming_strings = off; set transform_null_equals = on")
        script = await connection.fetchval(insert_sql({"cron": "x"}).replace("$1", "'0 2 * * mon,sun'"))
        assert (
            await connection.fetchval("select cron from tminus.scheduled_scripts where id = $1", script)
            == "0 2 * * mon,sun"
        )
        with pytest.raises(asyncpg.PostgresError, match="the script is empty"):
            await connection.fetchval(insert_sql({"script": "x"}).replace("$1", "' '"))


async def test_the_cases_cover_every_column_of_the_client() -> None:
    assert SCRIPT
    assert set(EDITS) | {"cron", "timezone"} == {
        "description", "summary", "script", "sites", "test_site_id", "make_backup", "abort_if_offline", "notify", "launch_at",
        "cron", "timezone", "start_within", "site_timeout", "max_concurrency", "wave_sizes", "confirm_within", "max_failures",
        "max_failures_in_wave", "max_offline", "guard_version", "guard_free_space", "guard_uptime", "guard_cpu_load", "variables",
    }  # fmt: skip


@pytest.mark.parametrize(
    "cron", ["0 0 29 2 *", "0 0 31 2,3 *", "0 0 31 2 mon", "0 0 31 */2 *", "0 0 1,31 2 *", "0 0 31 feb-apr/2 sun"]
)
async def test_a_rule_that_has_a_date_now_and_then_is_taken(shared: WarmDb, cron: str) -> None:
    assert await insert(shared, cron=cron)


async def test_an_id_that_is_null_is_chosen_here(shared: WarmDb) -> None:
    assert await insert(shared, id=None) is not None

"""A launch at a time on the clock of each site, and starts that end at a moment."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from tests.property.clocks import Change, sample
from tests.store.stage import SCRIPT, Stage, WarmDb, add_sites, authorize, insert, refused
from tminus.store import launches

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOUR = timedelta(hours=1)
LONG = 1e8  # seconds: an instance that outlives the jumps of the clock
ZONES = (
    "UTC", "Europe/London", "Europe/Berlin", "Europe/Dublin", "Europe/Lisbon", "Europe/Istanbul", "Europe/Moscow", "Africa/Casablanca",
    "Africa/Cairo", "Africa/Johannesburg", "Africa/Nairobi", "Africa/Windhoek", "America/New_York", "America/Chicago", "America/Denver",
    "America/Phoenix", "America/Los_Angeles", "America/Anchorage", "America/Halifax", "America/St_Johns", "America/Havana",
    "America/Santiago", "America/Sao_Paulo", "America/Bogota", "America/Caracas", "Asia/Tehran", "Asia/Dubai", "Asia/Kolkata",
    "Asia/Kathmandu", "Asia/Tokyo", "Asia/Amman", "Asia/Beirut", "Australia/Sydney", "Australia/Lord_Howe", "Australia/Adelaide",
    "Antarctica/Troll", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Apia", "Pacific/Kiritimati",
)  # fmt: skip
# What was: of what will be, two zone databases may know different things.
YEARS = [datetime(2014, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(12 * 365)]


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the half hours at which the clock of `zone` is set."""
    for day in YEARS:
        if day.astimezone(zone).utcoffset() != (day + 24 * HOUR).astimezone(zone).utcoffset():
            halves = [day + number * HOUR / 2 for number in range(49)]
            offsets = [half.astimezone(zone).utcoffset() for half in halves]
            yield from (
                half for half, before, now in zip(halves[1:], offsets, offsets[1:], strict=False) if before != now
            )


def first_moment(wall: datetime, zone: ZoneInfo, *, back: timedelta = 5 * HOUR, minutes: int = 5) -> datetime:
    """The rule, as plainly as it can be written: of all minutes that are asked for, and in which clocks change, the first."""
    moment = wall.replace(tzinfo=zone).astimezone(UTC) - back
    while moment.astimezone(zone).replace(tzinfo=None) < wall:
        moment += timedelta(minutes=minutes)
    return moment


async def first_moments(shared: WarmDb, asked: list[tuple[datetime, str]]) -> list[datetime]:
    """What the database says of times on the wall."""
    rows = await shared.fetch(
        "select tminus.local_instant(w, z) as found from unnest($1::timestamp[], $2::text[]) with ordinality as u (w, z, n) order by n",
        [wall for wall, _ in asked],
        [zone for _, zone in asked],
    )
    return [row["found"] for row in rows]


async def test_it_is_the_first_moment_at_which_the_clock_of_the_zone_shows_it_or_jumps_over_it(shared: WarmDb) -> None:
    asked: list[tuple[datetime, str]] = []
    for name in ZONES:
        for moment in changes(ZoneInfo(name)):
            around = moment.astimezone(ZoneInfo(name)).replace(tzinfo=None)
            asked += [(around + timedelta(minutes=minutes), name) for minutes in (-95, -60, -25, 0, 25, 95)]
        asked.append((datetime(2024, 6, 15, 12, 35), name))  # noqa: DTZ001 - on the wall
    assert len(asked) > 3_000
    wrong = [
        (wall, zone, found)
        for (wall, zone), found in zip(asked, await first_moments(shared, asked), strict=True)
        if found != first_moment(wall, ZoneInfo(zone))
    ]
    assert wrong == [], wrong[:3]


async def test_it_is_so_where_clocks_did_odder_things(shared: WarmDb) -> None:
    """A sample of scripts/clocks, and the day that was skipped. (Of late years two zone databases may know different things.)"""
    chosen = [
        Change("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC)),
        Change("America/St_Johns", datetime(2005, 4, 3, 4, tzinfo=UTC)),
        *(change for change in sample(82, seed=datetime.now(UTC).toordinal()) if change.at.year < 2021),
    ]
    asked = [
        (change.at.astimezone(ZoneInfo(change.zone)).replace(tzinfo=None) + timedelta(minutes=minutes), change.zone)
        for change in chosen
        for minutes in (-1500, -200, -95, -60, -31, 0, 1, 25, 95)
    ]
    assert len({zone for _, zone in asked}) > 25
    wrong = [
        (wall, zone, found)
        for (wall, zone), found in zip(asked, await first_moments(shared, asked), strict=True)
        if found != first_moment(wall, ZoneInfo(zone), back=30 * HOUR, minutes=1)
    ]
    assert wrong == [], wrong[:3]


async def zoned(stage: Stage, **zones: str) -> None:
    await add_sites(stage.db, *zones)
    for site, zone in zones.items():
        await stage.db.fetch("update tminus.sites set timezone = $2 where id = $1", site, zone, role="api")


async def at_three(stage: Stage, **columns: object) -> tuple[UUID, datetime]:
    """A script for 03:00 on the clock of each site, tomorrow or the day after; with when that is in UTC."""
    at = await stage.db.value("select date_trunc('day', tminus.clock() at time zone 'UTC') + interval '2 days 3 hours'")
    columns = {"local_time": at, "launch_at": None, **columns}
    script: UUID = await insert(stage.db, **columns)
    await authorize(stage.db, script)
    return script, at.replace(tzinfo=UTC)


async def set_clock(stage: Stage, to: datetime) -> None:
    await stage.db.fetch("update public.moved_clock set by = $1 - statement_timestamp()", to)


async def test_each_site_starts_when_its_own_clock_shows_the_time(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, tokyo="Asia/Tokyo", lagos="Africa/Lagos", delhi="Asia/Kolkata", tokyo2="Asia/Tokyo")
    script, utc = await at_three(stage)
    first = utc - 9 * HOUR
    assert (await stage.row(script))["launch_at"] == first
    await set_clock(stage, first - timedelta(seconds=5))
    assert await stage.launch_due(instance) == []
    for at, sites in ((first, {"tokyo", "tokyo2"}), (utc - 5.5 * HOUR, {"delhi"}), (utc - HOUR, {"lagos"})):
        await set_clock(stage, at - timedelta(seconds=5))
        assert await stage.claim(instance) == {}
        await set_clock(stage, at + timedelta(seconds=1))
        await stage.launch_due(instance)
        claims = await stage.claim(instance)
        assert set(claims) == sites
        await stage.run_through(instance, *(claim.id for claim in claims.values()))
        await launches.housekeeping(stage.store)
    assert await stage.db.value("select count(*) from tminus.launches") == 1
    row = await stage.row(script)
    assert (row["status"], row["finished_at"] is not None) == ("launched", True)


async def test_start_within_counts_for_each_site_from_its_own_time(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, tokyo="Asia/Tokyo", lagos="Africa/Lagos")
    script, utc = await at_three(stage, start_within=HOUR)
    await set_clock(stage, utc - 9 * HOUR)
    await stage.launch_due(instance)
    # Nobody serves Tokyo; it is missed when its own hour is over, and Lagos is not.
    await set_clock(stage, utc - 8 * HOUR + timedelta(seconds=1))
    assert await stage.claim(instance) == {}
    assert (await launches.housekeeping(stage.store)).given_up == 1
    await set_clock(stage, utc - timedelta(minutes=1))
    assert (await launches.housekeeping(stage.store)).given_up == 0
    assert set(await stage.claim(instance)) == {"lagos"}
    runs = await stage.db.site_runs(script)
    assert (runs["tokyo"]["state"], runs["tokyo"]["reason"]) == ("skipped", "missed")


async def test_sites_that_wait_for_their_place_are_not_late_while_others_of_their_zone_go_on(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, a="Asia/Tokyo", b="Asia/Tokyo", c="Asia/Tokyo")
    _, utc = await at_three(stage, start_within=HOUR, max_concurrency=1)
    begins = utc - 9 * HOUR
    await set_clock(stage, begins)
    await stage.launch_due(instance)
    for number in range(3):
        await set_clock(stage, begins + number * timedelta(minutes=50))
        await launches.housekeeping(stage.store)
        [claim] = (await stage.claim(instance)).values()
        await stage.run_through(instance, claim.id)


async def test_a_site_that_moves_to_another_zone_takes_its_time_along(stage: Stage) -> None:
    await zoned(stage, a="UTC", b="Asia/Tokyo")
    script, utc = await at_three(stage)
    assert (await stage.row(script))["launch_at"] == utc - 9 * HOUR
    await zoned(stage, b="America/Bogota")
    row = await stage.row(script)
    assert (row["launch_at"], row["status"]) == (utc, "scheduled")


async def test_many_sites_that_move_at_once_move_each_script_once(stage: Stage) -> None:
    sites = [f"s{number}" for number in range(20)]
    await add_sites(stage.db, *sites, "apart")
    script, utc = await at_three(stage, sites=sites)
    other, _ = await at_three(stage, sites=["apart", *sites[:2]])
    unconcerned, _ = await at_three(stage, sites=["apart"])
    move = "update tminus.sites set timezone = "
    async with stage.db.anew("api") as gateway:

        async def writes(sql: str) -> int:
            """Run it, and return how many scripts were written for it."""
            written = "select pg_stat_get_xact_tuples_updated('tminus.scheduled_scripts'::regclass)"
            before: int = await gateway.fetchval(written)
            await gateway.execute(sql)
            after: int = await gateway.fetchval(written)
            return after - before

        async with gateway.transaction():
            assert await writes(move + "'Asia/Tokyo' where id <> 'apart'") == 2
            # An upsert that names the zone and moves nobody.
            assert await writes(move + "timezone") == 0
        moments = [(await stage.row(each))["launch_at"] for each in (script, other, unconcerned)]
        assert moments == [utc - 9 * HOUR, utc - 9 * HOUR, utc]
        async with gateway.transaction():
            # What was undone is not remembered, nor what came before in the same transaction.
            savepoint = gateway.transaction()
            await savepoint.start()
            assert await writes(move + "'UTC' where id = 's5'") == 1
            await savepoint.rollback()
            assert await writes(move + "'UTC' where id = 'apart'") == 0
            assert await writes(move + "'Asia/Kolkata' where id = 'apart'") == 2
            assert await writes(move + "'Pacific/Apia' where id = 's5'") == 1
    moments = [(await stage.row(each))["launch_at"] for each in (script, other, unconcerned)]
    assert moments == [utc - 13 * HOUR, utc - 9 * HOUR, utc - 5.5 * HOUR]
    assert {(await stage.row(each))["status"] for each in (script, other, unconcerned)} == {"scheduled"}


async def test_an_upsert_that_leaves_the_first_moment_out_says_the_same_again(stage: Stage) -> None:
    await zoned(stage, a="Asia/Tokyo")
    script, utc = await at_three(stage)
    sql = (
        "insert into tminus.scheduled_scripts (id, script, sites, local_time) values ($1, $2, '{a}', $3) on conflict (id) do update"
        " set script = excluded.script, sites = excluded.sites, local_time = excluded.local_time, launch_at = excluded.launch_at"
    )
    before = await stage.row(script)
    await stage.db.fetch(sql, script, SCRIPT, utc.replace(tzinfo=None), role="alice")
    assert await stage.row(script) == before
    await stage.db.fetch(sql, script, SCRIPT, (utc + HOUR).replace(tzinfo=None), role="alice")
    row = await stage.row(script)
    assert (row["status"], row["launch_at"]) == ("unauthorized", utc - 8 * HOUR)


PAUSE, RESUME = "select tminus.pause_launch($1, 'x')", "select tminus.resume_launch($1)"


async def test_a_pause_makes_no_site_late(stage: Stage) -> None:
    """One site is due before the pause, one while it lasts, and one after it; one was missed before it already."""
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, apia="Pacific/Apia", tokyo="Asia/Tokyo", delhi="Asia/Kolkata", lagos="Africa/Lagos")
    script, utc = await at_three(stage, start_within=HOUR)
    tokyo = utc - 9 * HOUR
    await set_clock(stage, utc - 13 * HOUR)
    await stage.launch_due(instance)
    await set_clock(stage, tokyo + HOUR / 2)  # nobody has looked for what is late meanwhile
    await stage.db.value(PAUSE, script, role="bob")
    resumed = utc - 2 * HOUR
    await set_clock(stage, resumed)
    assert (await launches.housekeeping(stage.store)).given_up == 0
    await stage.db.value(RESUME, script, role="bob")
    await set_clock(stage, resumed + HOUR / 2)
    assert (await launches.housekeeping(stage.store)).given_up == 1
    claims = await stage.claim(instance)
    assert set(claims) == {"tokyo", "delhi"}
    await stage.run_through(instance, *(claim.id for claim in claims.values()))
    await set_clock(stage, utc - HOUR / 2)
    assert (await launches.housekeeping(stage.store)).given_up == 0
    assert set(await stage.claim(instance)) == {"lagos"}
    runs = await stage.db.site_runs(script)
    assert (runs["apia"]["state"], runs["apia"]["reason"]) == ("skipped", "missed")


async def test_what_nobody_starts_after_a_pause_is_missed_when_its_time_is_over(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, tokyo="Asia/Tokyo", lagos="Africa/Lagos")
    script, utc = await at_three(stage, start_within=HOUR)
    tokyo = utc - 9 * HOUR
    await set_clock(stage, tokyo)
    await stage.launch_due(instance)
    for number in range(2):  # a second pause begins where the first one left it
        await set_clock(stage, tokyo + (3.5 * number + 0.5) * HOUR)
        await stage.db.value(PAUSE, script, role="bob")
        await set_clock(stage, tokyo + (3.5 * number + 3.5) * HOUR)
        await stage.db.value(RESUME, script, role="bob")
        assert (await launches.housekeeping(stage.store)).given_up == 0
    await set_clock(stage, utc - HOUR / 2)
    assert (await launches.housekeeping(stage.store)).given_up == 1
    assert set(await stage.claim(instance)) == {"lagos"}


async def test_a_pause_takes_no_site_its_place_behind_the_others_of_its_zone(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, a="Asia/Tokyo", b="Asia/Tokyo", c="Asia/Tokyo", d="Asia/Tokyo")
    script, utc = await at_three(stage, start_within=HOUR, max_concurrency=1)
    begins = utc - 9 * HOUR
    await set_clock(stage, begins)
    await stage.launch_due(instance)
    for number in range(4):
        await set_clock(stage, begins + number * timedelta(minutes=50))
        if number == 2:  # after the hour in which all would have to start if they were alone
            await stage.db.value(PAUSE, script, role="bob")
            begins += 5 * HOUR
            await set_clock(stage, begins + number * timedelta(minutes=50))
            await stage.db.value(RESUME, script, role="bob")
        assert (await launches.housekeeping(stage.store)).given_up == 0
        [claim] = (await stage.claim(instance)).values()
        await stage.run_through(instance, claim.id)


async def test_a_rehearsal_is_in_the_way_of_no_site_that_a_pause_gives_time(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    await zoned(stage, tokyo="Asia/Tokyo", lagos="Africa/Lagos")
    script, utc = await at_three(stage, start_within=HOUR)
    await set_clock(stage, utc - 9 * HOUR)
    await stage.launch_due(instance)
    missed = "select tminus.missed_for_rehearsal('tokyo', interval '10 minutes')"
    await set_clock(stage, utc - 9 * HOUR + timedelta(minutes=55))
    assert "waits to start" in await stage.db.value(missed)
    await stage.db.value(PAUSE, script, role="bob")
    for after in (timedelta(), 3 * HOUR):
        await set_clock(stage, utc - 8 * HOUR + after)
        assert await stage.db.value(missed) is None
    await stage.db.value(RESUME, script, role="bob")
    assert await stage.db.value(missed) is None
    await set_clock(stage, utc - 5 * HOUR + timedelta(minutes=55))
    assert "waits to start" in await stage.db.value(missed)


async def test_another_time_or_other_sites_are_an_edit_and_move_the_first_moment(stage: Stage) -> None:
    await zoned(stage, a="UTC", b="Asia/Tokyo")
    script, utc = await at_three(stage)
    change = "update tminus.scheduled_scripts set {} where id = $1"
    await stage.db.fetch(change.format("sites = '{a}'"), script, role="alice")
    row = await stage.row(script)
    assert (row["launch_at"], row["status"]) == (utc, "unauthorized")
    await stage.db.fetch(change.format("local_time = local_time + interval '1 day'"), script, role="alice")
    assert (await stage.row(script))["launch_at"] == utc + 24 * HOUR
    said = await refused(stage.db, "alice", change.format("launch_at = launch_at + interval '1 hour'"), script)
    assert "local_time says when by itself" in said
    await stage.db.fetch(change.format("local_time = null, cron = '0 3 * * *'"), script, role="alice")
    assert (await stage.row(script))["launch_at"] is None


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ("local_time, launch_at) values (':put 1', '{a}', '2100-01-01', now() + interval '1 day'", "local_time says when by itself"),
        ("local_time, cron) values (':put 1', '{a}', '2100-01-01', '@daily'", "local_time says when by itself"),
        ("local_time, timezone) values (':put 1', '{a}', tminus.clock() + interval '2 days', 'UTC'", "timezone goes with cron"),
        ("local_time) values (':put 1', '{a}', 'infinity'", "local_time must be a time"),
        ("local_time) values (':put 1', '{a}', '2020-01-01'", "lies in the past"),
        ("launch_at, stop_starting_at) values (':put 1', '{a}', now() + interval '1 day', now()", "a moment after launch_at"),
        ("cron, stop_starting_at) values (':put 1', '{a}', '@daily', now() + interval '9 days'", "a moment after launch_at"),
    ],
)  # fmt: skip
async def test_what_is_no_rule_of_time_is_refused_with_a_sentence(stage: Stage, columns: str, words: str) -> None:
    await add_sites(stage.db, "a")
    said = await refused(stage.db, "alice", f"insert into tminus.scheduled_scripts (script, sites, {columns})")
    assert words in said


async def test_no_site_starts_after_the_moment_at_which_starts_are_to_end(stage: Stage) -> None:
    instance = await stage.instance(ttl=LONG)
    now = await stage.db.value("select tminus.clock()")
    script = await stage.launch(
        instance, "a", "b", "c", stop_starting_at=now + HOUR, start_within=5 * HOUR, max_concurrency=2
    )
    claims = await stage.claim(instance)
    assert len(claims) == 2
    first, second = (claim.id for claim in claims.values())
    await stage.run_through(instance, first)
    await stage.db.move_clock(HOUR)
    # Neither what waits, nor what is claimed and not started.
    assert await stage.claim(instance) == {}
    assert await stage.execute(instance, second) == []
    assert [row["is_held"] for row in await stage.store.fetch("why_not_started", instance, [second])] == [True]
    assert len(await stage.store.fetch("release_site_runs", instance, [second], [0.0], [None], [None])) == 1
    assert (await launches.housekeeping(stage.store)).given_up == 2
    runs = (await stage.db.site_runs(script)).values()
    ends = sorted((run["state"], run["reason"] or "", (run["message"] or "")[:19]) for run in runs)
    assert ends == [("completed", "", "Said so."), *[("skipped", "missed", "Not started before ")] * 2]


async def test_every_zone_of_the_list_is_known_here(shared: WarmDb) -> None:
    for name in ZONES:
        assert await shared.value("select tminus.is_timezone($1)", name), name


async def test_the_sites_that_a_query_means_say_when_it_is_first(stage: Stage) -> None:
    await zoned(stage, tokyo="Asia/Tokyo", lagos="Africa/Lagos")
    await stage.db.run("update tminus.sites set tags = '{far}' where id = 'tokyo'", role="api")
    at = datetime(2034, 3, 5, 3, tzinfo=UTC)
    script = await insert(
        stage.db, sites=None, site_query='{"tags": ["far"]}', launch_at=None, local_time=at.replace(tzinfo=None)
    )
    await stage.db.value("select tminus.resolve_sites($1)", script, role="alice")
    row = await stage.row(script)
    assert (row["sites"], row["launch_at"]) == (["tokyo"], at - 9 * HOUR)

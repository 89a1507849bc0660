"""What the database accepts as a cron rule or a time zone, the daemon can read, and reads as it is meant."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.support import Db
from tests.unit.vixie import Rule
from tminus.domain.timing import next_occurrence

NUMBER = st.integers(0, 62).map(str) | st.sampled_from(["00", "07", "5", "099"])
NAME = st.sampled_from(["jan", "Feb", "dec", "sun", "SAT", "mon", "fri", "1st", "l", "w", "?", "#"])
EDGE = NUMBER | NAME
SPAN = st.just("*") | EDGE | st.builds("{}-{}".format, EDGE, EDGE)
PART = SPAN | st.builds("{}/{}".format, SPAN, st.integers(0, 70))
FIELD = st.lists(PART, min_size=1, max_size=3).map(",".join) | st.text("0123456789*/,-?LW#a \u0663\u00a0", max_size=5)
CRON = st.builds(lambda field, place: " ".join(["*"] * place + [field] + ["*"] * (4 - place)), FIELD, st.integers(0, 4))
ANYTHING = (
    CRON | st.lists(FIELD, min_size=4, max_size=7).map(" ".join) | st.sampled_from(["@daily", "@reboot", "@every 5m"])
)
AFTER = datetime(2027, 1, 1, tzinfo=UTC)

# Each expression on its own: how the database writes it, if it accepts it.
CHECK = """
create or replace function public.accepted(expression text) returns text language plpgsql as $$
declare
    plain text := tminus.plain_cron(expression);
begin
    perform tminus.check_cron(plain);
    return plain;
exception when check_violation then
    return null;
end $$
"""


async def accepted(database: Db, expressions: list[str]) -> list[str]:
    rows = await database.fetch(
        "select plain from (select public.accepted(e) as plain from unnest($1::text[]) as e) as a where plain is not null",
        expressions,
    )
    return [row["plain"] for row in rows]


def readings(expression: str) -> list[set[int]]:
    """What croniter makes of the five fields."""
    expanded, _ = croniter.expand(expression)
    assert len(expanded) == 5
    bounds = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]
    return [
        set(range(low, high + 1))
        if "*" in values
        else {int(value) % 7 if high == 6 else int(value) for value in values}
        for values, (low, high) in zip(expanded, bounds, strict=True)
    ]


@settings(
    max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(expressions=st.lists(ANYTHING, min_size=50, max_size=150))
async def test_what_the_database_accepts_is_read_by_croniter_as_vixie_reads_it(
    database: Db, expressions: list[str]
) -> None:
    await database.run(CHECK)
    for plain in await accepted(database, expressions):
        rule = Rule.read(plain)
        expected = [rule.minutes, rule.hours, rule.days, rule.months, rule.weekdays]
        assert readings(plain) == expected, plain
        next_occurrence(plain, "Europe/Dublin", AFTER)  # raises for what it cannot read


@pytest.mark.parametrize(
    "expression",
    [
        "*/15 2-4 1,15 * mon-fri",
        "0 0 29 2 *",
        "59 23 31 12 7",
        "0-58/2 */6 1-7 jan,jul sun",
        "0 4 * * fri-sun",
        "00 07 * * *",
        "  5   4\t* * *  ",
        "@weekly",
        "@HOURLY",
    ],
)
async def test_what_people_write_is_accepted(database: Db, expression: str) -> None:
    await database.run(CHECK)
    found = await accepted(database, [expression])
    assert len(found) == 1
    assert next_occurrence(found[0], "UTC", AFTER) is not None


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 * * * 0",  # a sixth field is seconds, first for one reader and last for another
        "0 0 * *",
        "",
        "5-1 * * * *",  # croniter wraps, others refuse
        "5-5 * * * *",
        "59/15 * * * *",  # croniter 6 and 7 read it differently
        "*/0 * * * *",
        "*/60 * * * *",
        "0 24 * * *",
        "0 0 0 * *",
        "0 0 L * *",
        "0 0 ? * *",
        "0 0 15W * *",
        "0 0 * * mon#2",
        "0 0 * * 8",
        "0 0 * jan-15 *",
        "H * * * *",
        "1,,2 * * * *",
        "@reboot",
        "\u0663 * * * *",
        "-1 * * * *",
        "+1 * * * *",
    ],
)
async def test_what_readers_of_cron_disagree_about_is_refused(database: Db, expression: str) -> None:
    await database.run(CHECK)
    assert await accepted(database, [expression]) == []


async def test_every_time_zone_that_the_database_accepts_is_one_for_the_daemon(database: Db) -> None:
    rows = await database.fetch("select name from pg_timezone_names where tminus.is_timezone(name)")
    assert len(rows) > 300
    for row in rows:
        ZoneInfo(row["name"])


@pytest.mark.parametrize("name", ["PST", "europe/berlin", "foo+3", "EST5EDT4", "posixrules", "localtime", "", "UTC "])
async def test_a_name_that_only_postgresql_knows_is_no_time_zone(database: Db, name: str) -> None:
    assert await database.value("select tminus.is_timezone($1)", name) is False

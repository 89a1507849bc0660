"""What is signed, and what a signed authorization covers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from tminus.domain.authorization import (
    Authorization,
    FurtherAct,
    Occasion,
    Statement,
    why_not_acted,
    why_not_covered,
    why_not_now,
)
from tminus.domain.digest import RowPart, SitePart, combine, row_digest, site_digest
from tminus.domain.endings import LaunchKind

AT = datetime(2030, 10, 30, 10, tzinfo=UTC)
VECTORS = json.loads((Path(__file__).parents[1] / "vectors/statement.json").read_text(encoding="utf-8"))
LAUNCH = UUID("0198c0de-0000-7000-8000-000000000002")
ROW = RowPart(
    id="0198c0de-0000-7000-8000-000000000001",
    script=":put 1\n",
    make_backup=True,
    abort_if_offline=False,
    test_site_id=None,
    launch_at=AT,
    cron=None,
    timezone=None,
    start_within=timedelta(hours=1),
    site_timeout=timedelta(minutes=10),
    max_concurrency=None,
)
SITE = SitePart(id="r1", jump_host=None, address="192.0.2.1", port=22, username=None, credential=None, host_key="k")


def authorization(row: RowPart = ROW, **changes: object) -> Authorization:
    sites = (("r1", site_digest(SITE)),)
    given = Authorization(
        digest=combine(row_digest(row), sites),
        row_digest=row_digest(row),
        sites=sites,
        author="alice",
        editor="arthur",
        approver="bob",
        expires=None,
        signature="-----BEGIN SSH SIGNATURE-----",
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def occasion(row: RowPart = ROW, given: Authorization | None = None, **changes: object) -> Occasion:
    whole = Occasion(
        row=row,
        sites=("r1",),
        kind=LaunchKind.SCHEDULED,
        launch=None,
        due_at=AT,
        authorization=given or authorization(row),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_text_that_is_signed(vector: dict[str, dict[str, str]]) -> None:
    fields = vector["fields"]
    expires = None if fields["expires"] is None else datetime.fromisoformat(fields["expires"])
    launch = None if fields["launch"] is None else UUID(fields["launch"])
    moments = {name: datetime.fromisoformat(fields[name]) for name in ("due", "since") if fields.get(name)}
    statement = Statement(**{**fields, **moments, "expires": expires, "launch": launch})  # type: ignore[arg-type]
    assert statement.text().decode() == vector["text"]


def test_no_field_can_make_a_line_of_its_own() -> None:
    for name in ("bob\nexpires: never", "bob\0"):
        with pytest.raises(ValueError, match="line break"):
            authorization(approver=name).statement(script=ROW.id).text()


def test_what_was_signed_is_covered() -> None:
    assert why_not_covered(occasion(), distinct=True) is None
    assert why_not_covered(occasion(sites=None, launch=LAUNCH), distinct=True) is None


CRON = replace(ROW, launch_at=None, cron="0 10 * * *", timezone="UTC")
ENDING = replace(CRON, missed_policy="run_latest", until=AT + timedelta(days=7), max_launches=9)
LOCAL = replace(ROW, launch_at=AT, local_time=AT.replace(tzinfo=None))
FARTHEST = timedelta(hours=14)


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (occasion(row=replace(ROW, script=":put 2\n"), given=authorization()), "not what was signed"),
        (occasion(row=replace(ROW, make_backup=False), given=authorization()), "not what was signed"),
        (occasion(row=replace(ROW, launch_at=AT + timedelta(1)), given=authorization()), "not what was signed"),
        (occasion(row=CRON, given=authorization()), "not what was signed"),
        (occasion(given=authorization(digest="tminus1:other")), "not what was signed"),
        (occasion(given=authorization(sites=(("r1", "x"),))), "not what was signed"),
        (occasion(sites=("r1", "r2")), "not those that were signed"),
        (occasion(sites=()), "not those that were signed"),
        (occasion(given=authorization(signature=None)), "without a signature"),
        (occasion(given=authorization(approver="alice")), "their own"),
        (occasion(given=authorization(approver="arthur")), "their own"),
        (occasion(given=authorization(approver="Alice ")), "their own"),
        (occasion(due_at=AT + timedelta(seconds=1)), "time"),
        (occasion(row=CRON, due_at=AT + timedelta(minutes=1)), "none of the cron rule"),
        (occasion(row=CRON, due_at=AT + timedelta(microseconds=1)), "none of the cron rule"),
        (occasion(row=ENDING, due_at=AT + timedelta(minutes=1)), "none of the cron rule"),
        (occasion(row=ENDING, due_at=AT + timedelta(days=8)), "after the end of the cron rule"),
        (occasion(row=replace(ENDING, until=None), given=authorization(ENDING)), "not what was signed"),
        (occasion(row=replace(ENDING, max_launches=None), given=authorization(ENDING)), "not what was signed"),
        (occasion(row=replace(CRON, missed_policy="run_latest"), given=authorization(CRON)), "not what was signed"),
        (occasion(row=replace(ROW, windows=("nights",)), given=authorization()), "not what was signed"),
        (occasion(row=replace(ROW, stop_starting_at=AT), given=authorization()), "not what was signed"),
        (occasion(row=replace(LOCAL, local_time=datetime(2030, 10, 30, 11)), given=authorization(LOCAL)), "not what was signed"),  # noqa: DTZ001
        (occasion(row=LOCAL, due_at=AT - FARTHEST - timedelta(microseconds=1)), "in any time zone"),
        (occasion(row=LOCAL, due_at=AT + FARTHEST + timedelta(microseconds=1)), "in any time zone"),
        # launch_at is no part of what is signed there: it vouches for nothing.
        (occasion(row=replace(LOCAL, launch_at=AT + timedelta(2)), due_at=AT + timedelta(2)), "in any time zone"),
        (occasion(kind=LaunchKind.RETRY, launch=LAUNCH), "expires"),
    ],
)  # fmt: skip
def test_what_was_not_signed_is_not_covered(what: Occasion, why: str) -> None:
    assert why in (why_not_covered(what, distinct=True) or "")


@pytest.mark.parametrize("approver", ["alice", "Alice ", "ARTHUR"])
def test_a_further_act_of_whoever_wrote_it_does_not_count(approver: str) -> None:
    act = FurtherAct(act="confirm", wave=2, since=None, approver=approver, expires=AT, signature="")
    assert "their own" in (why_not_acted(occasion(), act, AT, distinct=True) or "")
    assert why_not_acted(occasion(), act, AT, distinct=False) is None
    assert why_not_acted(occasion(), replace(act, approver="bob"), AT, distinct=True) is None


def test_nobody_authorized_it() -> None:
    whole = replace(occasion(), authorization=None)
    assert why_not_covered(whole, distinct=True) == "nobody authorized it"


def test_one_person_may_do_both_where_this_host_says_so() -> None:
    assert why_not_covered(occasion(given=authorization(approver="alice")), distinct=False) is None


def test_each_occurrence_of_a_cron_rule_is_covered() -> None:
    for days in (0, 1, 365):
        assert why_not_covered(occasion(row=CRON, due_at=AT + timedelta(days)), distinct=True) is None


def test_a_made_up_occurrence_is_covered_up_to_the_end_of_the_rule() -> None:
    for days in (0, 1, 7):
        assert why_not_covered(occasion(row=ENDING, due_at=AT + timedelta(days)), distinct=True) is None


@pytest.mark.parametrize("hours", [-14, -5.5, 0, 12, 14])
def test_a_local_time_is_covered_in_each_time_zone(hours: float) -> None:
    assert why_not_covered(occasion(row=LOCAL, due_at=AT + timedelta(hours=hours)), distinct=True) is None


@pytest.mark.parametrize(
    ("now", "may"),
    [
        (AT - timedelta(hours=10, seconds=31), False),
        (AT - timedelta(hours=10), True),
        (AT + timedelta(hours=14 + 1 + 2), True),  # due in the last zone, start_within and longest_launch later
        (AT + timedelta(hours=14 + 1 + 2, seconds=1), False),
    ],
)
def test_a_local_time_lasts_until_it_was_that_time_in_every_zone(now: datetime, may: bool) -> None:
    first = occasion(row=LOCAL, due_at=AT - timedelta(hours=10))
    assert (why_not_now(first, now, longest_launch=timedelta(hours=2)) is None) == may


def test_a_retry_of_a_local_time_has_a_time_of_its_own() -> None:
    again = occasion(
        row=LOCAL, kind=LaunchKind.RETRY, launch=LAUNCH, given=authorization(LOCAL, expires=AT + timedelta(2))
    )
    assert why_not_covered(again, distinct=True) is None
    assert why_not_now(again, AT + timedelta(hours=4), longest_launch=timedelta(hours=2)) is not None


def test_nothing_starts_after_the_end_that_was_signed() -> None:
    row = replace(ROW, stop_starting_at=AT + timedelta(minutes=10))
    for seconds, may in ((599, True), (600, False)):
        why = why_not_now(occasion(row=row), AT + timedelta(seconds=seconds), longest_launch=timedelta(hours=2))
        assert (why is None) == may, why


def test_an_act_of_its_own_is_signed_for_its_own_launch() -> None:
    once_more = occasion(kind=LaunchKind.RETRY, launch=LAUNCH, given=authorization(expires=AT))
    assert why_not_covered(once_more, distinct=True) is None
    assert f"act: retry\nlaunch: {LAUNCH}\n".encode() in once_more.statement().text()
    assert b"act: launch\nscript" in occasion(launch=LAUNCH).statement().text()


@pytest.mark.parametrize(
    ("seconds", "expires_after", "may"),
    [
        (-31, None, False),
        (-29, None, True),
        (0, None, True),
        (3600 + 7200, None, True),
        (3601 + 7200, None, False),
        (10, 10, True),
        (11, 10, False),
    ],
)
def test_the_time_is_that_of_this_hosts_clock(seconds: int, expires_after: int | None, may: bool) -> None:
    expires = None if expires_after is None else AT + timedelta(seconds=expires_after)
    now = AT + timedelta(seconds=seconds)
    why = why_not_now(occasion(given=authorization(expires=expires)), now, longest_launch=timedelta(hours=2))
    assert (why is None) == may, why

"""The digest: vectors that any language can check, and no two contents with one digest."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.domain.digest import RowPart, SitePart, combine, row_digest, site_digest
from tminus.domain.variables import digest_field, named_values, names_in

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors" / "digest.json").read_text("utf-8"))
ROW = RowPart(
    id="0198c0de-0000-7000-8000-000000000001",
    script="/ip dns set servers=192.0.2.53\n",
    make_backup=True,
    abort_if_offline=False,
    test_site_id="site_1",
    launch_at=datetime(2030, 10, 30, 10, tzinfo=UTC),
    cron=None,
    timezone="UTC",
    start_within=timedelta(hours=1),
    site_timeout=timedelta(minutes=10),
    max_concurrency=5,
    wave_sizes=("1", "10%"),
    wave_order=("edge",),
    wave_pause=timedelta(minutes=1),
    confirm_within=timedelta(hours=1),
    max_failures="1",
    max_failures_in_wave="2",
    max_offline="3",
    guard_version=">=7.12",
    guard_free_space=1,
    guard_uptime=timedelta(minutes=1),
    guard_cpu_load=90,
    stop_starting_at=datetime(2030, 10, 30, 12, tzinfo=UTC),
    until=datetime(2031, 10, 30, tzinfo=UTC),
    max_launches=9,
)
CRON_ROW = replace(ROW, launch_at=None, cron="0 3 * * *")
LOCAL_ROW = replace(ROW, launch_at=None, local_time=datetime(2030, 10, 30, 3))  # noqa: DTZ001 - of no zone
SITE = SitePart(
    id="site_1",
    jump_host="bastion",
    address="192.0.2.1",
    port=22,
    username="tm",
    credential="core",
    host_key="ssh-rsa A",
    variables="1:a,8:string:b,",
    return_address="192.0.2.99",
)
CHANGES: dict[str, Callable[[Any], Any]] = {
    "bool": lambda value: not value,
    "int": lambda value: value + 1,
    "str": lambda value: value + "x",
    "datetime": lambda value: value + timedelta(microseconds=1),
    "timedelta": lambda value: value + timedelta(microseconds=1),
    "tuple": lambda value: (*value, "x"),
}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def with_field(part: Any, name: str, value: object) -> Any:
    return replace(part, **{name: value})


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def row_of(vector: dict[str, Any]) -> RowPart:
    row = vector["row"]
    durations = {"guard_uptime": timedelta(microseconds=row["guard_uptime"])} if "guard_uptime" in row else {}
    return RowPart(
        **{name: value for name, value in row.items() if name != "variables"}
        | durations
        | {
            "launch_at": _moment(row["launch_at"]),
            "start_within": timedelta(microseconds=row["start_within"]),
            "site_timeout": timedelta(microseconds=row["site_timeout"]),
            "windows": tuple(row.get("windows", ())),
            "post_checks": tuple(row.get("post_checks", ())),
            "local_time": _moment(row.get("local_time")),
            "stop_starting_at": _moment(row.get("stop_starting_at")),
            "until": _moment(row.get("until")),
        }
        | {name: tuple(row[name]) for name in ("wave_sizes", "wave_order") if name in row}
        | {name: timedelta(microseconds=row[name]) for name in ("wave_pause", "confirm_within") if name in row}
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_vectors_hold(vector: dict[str, Any]) -> None:
    row = row_digest(row_of(vector))
    names, of_row = names_in(row_of(vector).code), vector["row"].get("variables", {})
    sites = [
        site_digest(
            SitePart(**site | {"variables": digest_field(named_values(names, of_row, site.get("variables", {})))})
        )
        for site in vector["sites"]
    ]
    assert row == vector["row_digest"]
    assert sites == vector["site_digests"]
    ids = [site["id"] for site in vector["sites"]]
    assert combine(row, zip(ids, sites, strict=True)) == vector["digest"]


def test_there_are_vectors_for_what_another_language_may_get_wrong() -> None:
    names = " ".join(vector["name"] for vector in VECTORS)
    assert len(VECTORS) >= 6
    assert all(word in names for word in ("plain", "unicode", "nulls", "cron", "every option", "many sites"))
    assert len({vector["digest"] for vector in VECTORS}) == len(VECTORS)


@pytest.mark.parametrize("name", [field.name for field in fields(RowPart)])
def test_each_single_field_of_the_row_counts(name: str) -> None:
    row = {"cron": CRON_ROW, "local_time": LOCAL_ROW}.get(name, ROW)
    value = getattr(row, name)
    changed = CHANGES[type(value).__name__](value)
    assert row_digest(with_field(row, name, changed)) != row_digest(row)


@pytest.mark.parametrize(
    "name",
    [
        "test_site_id",
        "timezone",
        "max_concurrency",
        "wave_sizes",
        "wave_order",
        "wave_pause",
        "confirm_within",
        "max_failures",
        "max_failures_in_wave",
        "max_offline",
        "guard_version",
        "guard_uptime",
        "guard_cpu_load",
        "stop_starting_at",
        "until",
        "max_launches",
    ],
)
def test_a_field_of_the_row_that_is_left_out_counts(name: str) -> None:
    assert row_digest(with_field(ROW, name, None)) != row_digest(ROW)


@pytest.mark.parametrize("name", [field.name for field in fields(SitePart)])
def test_each_single_field_of_a_site_counts(name: str) -> None:
    value = getattr(SITE, name)
    assert site_digest(with_field(SITE, name, CHANGES[type(value).__name__](value))) != site_digest(SITE)
    if isinstance(value, str):
        assert site_digest(with_field(SITE, name, "")) != site_digest(SITE)


def test_the_next_occurrence_of_a_cron_rule_is_not_part_of_the_content() -> None:
    planned = replace(CRON_ROW, launch_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert row_digest(planned) == row_digest(CRON_ROW)
    planned = replace(LOCAL_ROW, launch_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert row_digest(planned) == row_digest(LOCAL_ROW)


def test_the_offset_in_which_a_moment_is_written_does_not_count() -> None:
    assert ROW.launch_at is not None
    elsewhere = ROW.launch_at.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert row_digest(replace(ROW, launch_at=elsewhere)) == row_digest(ROW)


def test_the_order_of_the_sites_counts() -> None:
    one, two = ("a", "1" * 64), ("b", "2" * 64)
    assert combine("0" * 64, [one, two]) != combine("0" * 64, [two, one])


@given(st.tuples(TEXT, TEXT, TEXT, TEXT), st.tuples(TEXT, TEXT, TEXT, TEXT))
def test_two_sites_that_differ_never_have_one_digest(
    one: tuple[str, str, str, str], two: tuple[str, str, str, str]
) -> None:
    names = ("jump_host", "address", "username", "credential")
    first, second = (
        site_digest(replace(SITE, **cast("dict[str, Any]", dict(zip(names, texts, strict=True)))))
        for texts in (one, two)
    )
    assert (first == second) == (one == two)


@given(TEXT, st.data())
def test_moving_text_between_neighbouring_fields_changes_the_digest(text: str, data: st.DataObject) -> None:
    cuts = st.integers(0, len(text))
    one, two = data.draw(cuts), data.draw(cuts)
    for a, b in (("jump_host", "address"), ("username", "credential"), ("credential", "host_key")):
        first, second = (site_digest(with_field(with_field(SITE, a, text[:cut]), b, text[cut:])) for cut in (one, two))
        assert (first == second) == (one == two)
    rows = [row_digest(replace(ROW, script=text[:cut], test_site_id=text[cut:])) for cut in (one, two)]
    assert (rows[0] == rows[1]) == (one == two)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=3), st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_two_lists_of_sites_never_have_one_digest(one: list[tuple[str, str]], two: list[tuple[str, str]]) -> None:
    assert (combine("r", one) == combine("r", two)) == (one == two)

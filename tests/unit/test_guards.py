"""Guards on facts: what holds, what does not, and that no answer never holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tminus.domain.guards import Guards, Measured, broken_guards
from tminus.routeros import commands
from tminus.routeros.commands import Nonce
from tminus.routeros.facts import Version, is_version_in

NONCE = Nonce("0123456789abcdef")
WELL = Measured(
    version="7.20.8 (stable)", version_in_range=True, uptime=timedelta(hours=1), free_space=100, cpu_load=20
)
RISING = [
    "6.49.10",
    "7.9",
    "7.12rc1",
    "7.12",
    "7.12.1",
    "7.24alpha2",
    "7.24beta1",
    "7.24beta2",
    "7.24beta10",
    "7.24rc1",
    "7.24",
]


def version(text: str) -> Version:
    found = Version.parse(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("guards", "measured", "said"),
    [
        (Guards(), WELL, None),
        (Guards(version=">=7.12"), WELL, None),
        (
            Guards(version=">=8"),
            replace(WELL, version_in_range=False),
            "7.20.8 (stable), and guard_version asks for >=8",
        ),
        (Guards(free_space=100), WELL, None),
        (Guards(free_space=101), WELL, "100 bytes free, and guard_free_space asks for 101 bytes"),
        (Guards(free_space=1), replace(WELL, free_space=None), "does not say how much space is free"),
        (Guards(uptime=timedelta(hours=1)), WELL, None),
        (Guards(uptime=timedelta(hours=1, seconds=1)), WELL, "up for 1:00:00, and guard_uptime asks for 1:00:01"),
        (Guards(cpu_load=20), WELL, None),
        (Guards(cpu_load=19), WELL, "loaded with 20 %, and guard_cpu_load allows 19 %"),
        (Guards(cpu_load=100), replace(WELL, cpu_load=None), "does not say how loaded its CPU is"),
    ],
)
def test_a_guard_holds_or_says_what_was_measured(guards: Guards, measured: Measured, said: str | None) -> None:
    broken = broken_guards(guards, measured)
    assert len(broken) == (said is not None)
    assert said is None or said in broken[0]


def test_every_broken_guard_is_told() -> None:
    guards = Guards(free_space=101, uptime=timedelta(days=1), cpu_load=1)
    assert len(broken_guards(guards, WELL)) == 3


def test_versions_rise_as_routeros_counts_them() -> None:
    ranks = [version(text).rank for text in RISING]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize(
    ("text", "version_range", "holds"),
    [
        ("7.9", ">=7.12", False),
        ("7.12", ">=7.12", True),
        ("7.12.0 (stable)", "=7.12", True),
        ("7.12.1", "=7.12", False),
        ("7.12rc1", ">=7.12", False),
        ("7.24beta1", "<7.24", True),
        ("7.20.8 (stable)", ">=7.12 <8", True),
        ("8.0", ">=7.12 <8", False),
        ("8.0beta1", ">=7.12 <8", True),
        ("7.12", ">7.12", False),
        ("7.12", "<=7.12", True),
        ("6.49.10 (long-term)", "<7", True),
        ("7.20", "", False),
        ("7.20", ">=", False),
        ("7.20", "nonsense", False),
    ],
)
def test_a_version_lies_in_a_range_or_not(text: str, version_range: str, holds: bool) -> None:
    assert is_version_in(version(text), version_range) is holds


@pytest.mark.parametrize(
    ("said", "free", "load"),
    [
        (["TMINUS-FREE-0123456789abcdef-104857600", "TMINUS-LOAD-0123456789abcdef-3"], 104857600, 3),
        (["TMINUS-LOAD-0123456789abcdef-3%"], None, 3),
        (["TMINUS-FREE-0123456789abcdef-"], None, None),
        (["TMINUS-FREE-0123456789abcdef-12MiB", "TMINUS-LOAD-0123456789abcdef--1"], None, None),
        (["TMINUS-FREE-ffffffffffffffff-5", "TMINUS-LOAD-ffffffffffffffff-5"], None, None),
        (["TMINUS-FREE-0123456789abcdef-" + "9" * 16], None, None),
    ],
)
def test_what_the_router_says_of_its_resources(said: list[str], free: int | None, load: int | None) -> None:
    assert (commands.free_space_seen(NONCE, said), commands.cpu_load_seen(NONCE, said)) == (free, load)

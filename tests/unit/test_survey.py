"""What a router answers to the questions of a scan, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tminus.routeros import survey
from tminus.routeros.facts import Facts, Version
from tminus.routeros.survey import Survey, judge

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def version(text: str) -> Version:
    parsed = Version.parse(text)
    assert parsed is not None
    return parsed


GOOD = Survey(
    facts=Facts(version=version("7.20.8 (stable)"), identity="r", uptime=timedelta(days=1)),
    model="RB5009",
    serial="HC1",
    policies=frozenset({"ssh", "ftp", "read", "write", "test", "policy"}),
    clock=NOW,
    asked_at=NOW,
    free_space=8 << 20,
    device_mode="advanced",
    sftp_refusal="",
)


@pytest.mark.parametrize(
    ("output", "granted"),
    [
        (b"local;telnet;ssh;ftp\r\n", {"local", "telnet", "ssh", "ftp"}),
        (b"ssh,read,!ftp,!policy\r\n", {"ssh", "read"}),
        (b"rest-api\n", {"rest-api"}),
    ],
)
def test_policies_are_those_that_are_granted(output: bytes, granted: set[str]) -> None:
    assert survey.parse_policies(output) == granted


@pytest.mark.parametrize(
    "output", [b"", b"no such item\r\n", b"ssh;read\r\nmore\r\n", b"syntax error (line 1 column 7)\r\n", b"ssh;;read"]
)
def test_what_is_no_list_of_policies_is_unknown(output: bytes) -> None:
    assert survey.parse_policies(output) is None


@pytest.mark.parametrize("name", ['a"b', "a$b", "a\\b", "a b", ""])
def test_a_user_name_that_would_need_quoting_is_not_put_into_a_command(name: str) -> None:
    assert survey.policies(name) is None


@pytest.mark.parametrize(
    ("date", "time", "offset", "utc"),
    [
        ("2026-11-24", "13:00:00", "+01:00", "12:00:00"),
        ("nov/24/2026", "07:00:00", "-05:00", "12:00:00"),
        ("Nov/24/2026", "13:00:00", "01:00:00", "12:00:00"),
        ("2026-11-24", "13:00:00", "3600", "12:00:00"),
        ("2026-11-24", "07:00:00", "4294949296", "12:00:00"),  # -18000 without its sign
        ("2026-11-24", "17:30:00", "+05:30", "12:00:00"),
    ],
)
def test_a_clock_is_read_in_every_form_of_its_date_and_offset(date: str, time: str, offset: str, utc: str) -> None:
    read = survey.parse_clock(f"{date}\r\n{time}\r\n{offset}\r\n".encode())
    assert read is not None
    assert read.strftime("%Y-%m-%d %H:%M:%S") == f"2026-11-24 {utc}"


@pytest.mark.parametrize(
    "output",
    [
        b"",
        b"2026-11-24\r\n13:00:00\r\n",
        b"2026-13-24\r\n13:00:00\r\n+00:00\r\n",
        b"xyz/24/2026\r\n13:00:00\r\n+00:00\r\n",
        b"2026-11-24\r\n25:00:00\r\n+00:00\r\n",
        b"2026-11-24\r\n13:00:00\r\n+77:00\r\n",
        b"0001-01-01\r\n00:00:00\r\n+05:00\r\n",
    ],
)
def test_what_is_no_clock_is_unknown(output: bytes) -> None:
    assert survey.parse_clock(output) is None


@pytest.mark.parametrize(
    ("output", "size"),
    [(b"3510272\r\n", 3510272), (b"3428.0KiB\r\n", 3510272), (b"1.5MiB", 1572864), (b"no", None), (b"", None)],
)
def test_free_storage_is_read_in_bytes(output: bytes, size: int | None) -> None:
    assert survey.parse_space(output) == size


@pytest.mark.parametrize(
    ("output", "model"),
    [
        (b"RB750Gr3\r\n", "RB750Gr3"),
        (b"RBD53iG-5HacD2HnD\r\n", "RBD53iG-5HacD2HnD"),
        (b"no such item\r\n", None),
        (b"input does not match any value of value-name (/system/routerboard/get; line 1)\r\n", None),
    ],
)
def test_a_model_is_told_from_an_error(output: bytes, model: str | None) -> None:
    assert survey.parse_model(output) == model


def test_a_good_router_has_nothing_that_would_stop_a_run() -> None:
    found = judge(GOOD)
    assert (found.problems, found.notes, found.unknown) == ((), (), ())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"policies": frozenset({"ssh", "read", "write"})}, "lacks the policies ftp, test"),
        ({"policies": GOOD.policies - {"ftp"}}, "lacks the policy ftp"),  # type: ignore[operator]
        ({"sftp_refusal": "closed"}, "no SFTP: closed"),
        ({"clock": NOW - timedelta(days=400)}, "the clock is wrong: it says 2025-10-20 12:00 UTC"),
        ({"clock": NOW + timedelta(minutes=6)}, "the clock is wrong"),
        ({"free_space": 100 * 1024}, "only 100 KiB of storage are free"),
        ({"facts": replace(GOOD.facts, version=version("6.45.9"))}, "6.45.9 is older than 6.49"),
    ],
)
def test_what_would_stop_a_run_is_said(changed: dict[str, object], said: str) -> None:
    found = judge(replace(GOOD, **changed))  # type: ignore[arg-type]
    assert len(found.problems) == 1
    assert said in found.problems[0]
    assert found.unknown == ()


def test_what_could_not_be_found_out_is_unknown_and_no_problem() -> None:
    found = judge(replace(GOOD, policies=None, clock=None, free_space=None, device_mode=None))
    assert found.problems == ()
    assert found.unknown == ("policies of the user", "clock", "free storage", "device-mode")


def test_a_user_without_policy_sensitive_is_told_where_exports_are_to_have_secrets() -> None:
    (note,) = judge(GOOD, wants_secrets=True).notes
    assert "lacks the policy sensitive" in note
    able = replace(GOOD, policies=(GOOD.policies or frozenset()) | {"sensitive"})
    assert judge(able, wants_secrets=True).notes == judge(GOOD).notes == ()


def test_a_version_without_device_mode_is_not_asked_for_it() -> None:
    old = replace(GOOD, device_mode=None, facts=replace(GOOD.facts, version=version("7.12.2")))
    found = judge(old)
    assert found.unknown == ()
    assert survey.device_mode(version("7.16.2")) is None
    assert "cannot check a script" in found.notes[0]
    assert "device-mode is home" in judge(replace(GOOD, device_mode="home")).notes[0]

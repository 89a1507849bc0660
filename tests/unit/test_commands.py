"""Every line that tminus sends: one line, short, plain, valid, and never its own proof."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from uuid import UUID

import pytest

from tminus.routeros import commands
from tminus.routeros.commands import Nonce
from tminus.routeros.facts import Version
from tminus.routeros.language import parse
from tminus.routeros.text import lines

NONCE = Nonce.of_run("0123456789abcdef", UUID(int=41))
VERSIONS = [Version(6, 49), Version(7, 9), Version(7, 13), Version(7, 20)]
KINDS = [
    "PARSED",
    "CHECK",
    "ID",
    "BUSY",
    "FREE",
    "LOAD",
    "END",
    "FILED",
    "OK",
    "ERR",
    "JOB",
    "LEFT",
    "SIZE",
    "SERIAL",
    "ASKED",
    "CATCH",
    "RAN",
    "LOG",
    "JOBS",
    "STOPPED",
    "RUNS",
]


def everything() -> Iterator[tuple[str, str]]:
    yield "identify", commands.identify(NONCE, stamp=False)
    yield "identify, stamped", commands.identify(NONCE, stamp=True)
    yield "identify, resources", commands.identify(NONCE, stamp=True, resources=True)
    yield "identify, without jobs", commands.identify(NONCE, stamp=False, jobs=False)
    yield "identify, without a look", commands.identify(NONCE, stamp=False, jobs=False, files=False)
    yield "harmless", commands.harmless(NONCE).decode().rstrip()
    yield "evidence, without a look", commands.evidence(NONCE, look=False)
    yield "evidence, without jobs", commands.evidence(NONCE, jobs=False)
    yield "serial_number", commands.serial_number(NONCE)
    yield "ask", commands.ask(NONCE, ":put [/system resource get free-hdd-space]")
    yield "remove", commands.remove(NONCE)
    yield "fence", commands.fence(NONCE)
    yield "size_of", commands.size_of(NONCE, NONCE.output_file)
    for catch, dry_run in product((True, False), repeat=2):
        yield f"check_file {catch} {dry_run}", commands.check_file(NONCE, catch=catch, dry_run=dry_run)
    yield "evidence", commands.evidence(NONCE)
    yield "evidence, with a line of this look", commands.evidence(NONCE, stamp=True)
    yield "stop_jobs", commands.stop_jobs(NONCE)
    yield "jobs", commands.jobs()
    yield "history", commands.history()
    yield "try_post_check", commands.try_post_check(NONCE, 1, "[:len [/ip route find gateway=10.0.0.1]] > 0")
    yield "post_check", commands.post_check(NONCE, 1, "[:len [/ip route find gateway=10.0.0.1]] > 0")
    for version in VERSIONS:
        name = f"{version.major}.{version.minor}"
        yield f"export {name}", commands.export(NONCE, version)
        yield f"remove_and_export {name}", commands.remove_and_export(NONCE, version)
        yield f"export_to_file {name}", commands.export_to_file(NONCE, version)
    for catches, stamp in product((True, False), repeat=2):
        yield f"start_detached {catches} {stamp}", commands.start_detached(NONCE, catches=catches, stamp=stamp)
        yield f"start {catches} {stamp}", commands.start(NONCE, catches=catches, stamp=stamp)


COMMANDS = dict(everything())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_one_short_line_of_ascii(name: str) -> None:
    command = COMMANDS[name]
    assert command.isascii()
    assert command.isprintable()
    assert len(command) < 3500


@pytest.mark.parametrize("name", COMMANDS)
def test_the_text_of_a_command_never_holds_a_marker(name: str) -> None:
    for kind in KINDS:
        assert NONCE.marker(kind) not in COMMANDS[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_console_can_read_it(name: str) -> None:
    unknown = {found.name for found in parse(COMMANDS[name].encode()).unknown}
    assert unknown == ({"routerboard"} if name == "serial_number" else set())  # a CHR has none


def test_every_public_command_is_tested_here() -> None:
    readers = {
        "says_gone",
        "has_run",
        "after_removal",
        "without_markers",
        "jobs_seen",
        "leftovers",
        "jobs_running",
        "stopped_jobs",
        "job_started",
        "free_space_seen",
        "cpu_load_seen",
        "is_post_check_read",
        "post_check_result",
    }
    readers |= {"has_caught", "listed_size", "after_size", "listed_serial", "asked"}
    others = {"Nonce", "UUID", "Version", "dataclass", "lines", "parse_serial", *readers}
    public = {name for name in vars(commands) if name[0] != "_" and callable(getattr(commands, name))}
    assert public - others == {name.split()[0].rstrip(",") for name in COMMANDS}


@pytest.mark.parametrize("catches", [True, False])
def test_the_script_is_imported_as_a_whole_and_the_marker_follows_it_directly(catches: bool) -> None:
    command = commands.start(NONCE, catches=catches, stamp=False)
    assert f'/import file-name="{NONCE.file}"; :put ("TMINUS-OK-" . "{NONCE.value}-{NONCE.proof}")' in command
    assert "verbose" not in command
    assert command.startswith(":onerror ") == catches


@pytest.mark.parametrize("catches", [True, False])
def test_stamped_the_start_is_logged_before_everything_and_the_end_after_the_marker(catches: bool) -> None:
    command = commands.start(NONCE, catches=catches, stamp=True)
    assert command.startswith(f':log info "tminus {NONCE.value} start"; ')
    places = [command.index(word) for word in ("/import", "TMINUS-OK-", f"{NONCE.value} done")]
    assert places == sorted(places)
    assert (f"{NONCE.value} failed" in command) == catches


@pytest.mark.parametrize("catches", [True, False])
def test_what_proves_an_end_bears_what_a_script_cannot_find_out(catches: bool) -> None:
    # A script lists files and reads the log; it does not see the line that started it.
    seen = [NONCE.file, NONCE.output_file, NONCE.export_file, NONCE.log_line("connected"), NONCE.log_line("start")]
    assert len(NONCE.proof) == 16
    assert not [text for text in seen if NONCE.proof in text]
    for name, command in COMMANDS.items():
        assert (NONCE.proof in command) == name.startswith("start"), name
    proving = [NONCE.marker("OK"), NONCE.marker("ERR"), NONCE.log_line("done"), NONCE.log_line("failed")]
    assert all(text.endswith(NONCE.proof) for text in proving)
    assert commands.start(NONCE, catches=catches, stamp=True).count(NONCE.proof) == (4 if catches else 2)


def test_the_proof_is_made_anew_from_the_launch_and_differs_by_launch_and_by_attempt() -> None:
    assert Nonce.of_run(NONCE.value, UUID(int=41)) == NONCE
    others = (Nonce.of_run(NONCE.value, UUID(int=42)), Nonce.of_run("fedcba9876543210", UUID(int=41)))
    assert len({NONCE.proof, *(other.proof for other in others)}) == 3


@pytest.mark.parametrize(
    ("version", "sensitive", "flags"),
    [
        (Version(6, 49), False, " hide-sensitive"),
        (Version(7, 20), False, ""),
        (Version(6, 49), True, ""),
        (Version(7, 20), True, " show-sensitive"),
    ],
)
def test_an_export_holds_secrets_where_they_are_asked_for_and_never_else(
    version: Version, sensitive: bool, flags: str
) -> None:
    assert commands.export(NONCE, version, sensitive=sensitive).startswith(f"/export{flags}; ")
    assert commands.export_to_file(NONCE, version, sensitive=sensitive).startswith(f"/export{flags} file=")
    if not sensitive:
        assert commands.export(NONCE, version) == commands.export(NONCE, version, sensitive=False)
        assert f"; /export{flags}; " in commands.remove_and_export(NONCE, version)


def test_the_file_is_looked_for_again_after_it_was_removed() -> None:
    assert commands.fence(NONCE).count(f'[/file find where name="{NONCE.file}"]') == 2
    command = commands.remove(NONCE)
    assert command.count(f'[/file find where name~"tminus-{NONCE.value}"]') == 2
    places = [command.index(word) for word in ("/file remove", '"-1"', '"-0"')]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        (["TMINUS-LEFT-0123456789abcdef-0"], True),
        (["x", "TMINUS-LEFT-0123456789abcdef-0", "# 2026-11-05 12:16:16 by RouterOS 7.20.8"], True),
        (["TMINUS-LEFT-0123456789abcdef-1"], False),
        (["TMINUS-LEFT-0123456789abcdef-1", "TMINUS-LEFT-0123456789abcdef-0"], False),
        (["TMINUS-LEFT-0123456789abcdef-00"], False),
        (["TMINUS-LEFT-fedcba9876543210-0"], False),
        (["x TMINUS-LEFT-0123456789abcdef-0"], False),
        ([commands.remove(NONCE)], False),
        (["no such item"], False),
        ([], False),
    ],
)
def test_only_a_second_look_that_ended_and_found_none_proves_the_file_gone(said: list[str], gone: bool) -> None:
    assert commands.says_gone(NONCE, said) is gone


@pytest.mark.parametrize(
    ("said", "size"),
    [
        (["Welcome!", "TMINUS-SIZE-0123456789abcdef-1234", "#line 1", "99"], 1234),
        (["TMINUS-SIZE-0123456789abcdef-0"], 0),
        (["TMINUS-SIZE-0123456789abcdef-1.2KiB"], None),
        (["TMINUS-SIZE-fedcba9876543210-1234"], None),
        (["1234"], None),  # a dry run shows the lines of the script
        (["no such item"], None),
        ([commands.size_of(NONCE, NONCE.file)], None),
    ],
)
def test_a_size_is_read_behind_its_own_marker_only(said: list[str], size: int | None) -> None:
    assert commands.listed_size(NONCE, said) == size


@pytest.mark.parametrize(
    ("said", "serial"),
    [
        (["TMINUS-SERIAL-0123456789abcdef-HCQ08FX50J7"], "HCQ08FX50J7"),
        (["", "Authorized access only!", "", "TMINUS-SERIAL-0123456789abcdef-8B0A0123ABCD/r2 ", ""], "8B0A0123ABCD/r2"),
        (["HCQ08FX50J8", "TMINUS-SERIAL-0123456789abcdef-HCQ08FX50J7"], "HCQ08FX50J7"),  # a greeting
        (["TMINUS-SERIAL-0123456789abcdef-HCQ08FX50J7", "HCQ08FX50J8"], "HCQ08FX50J7"),
        (["HCQ08FX50J7"], None),
        (["bad command name routerboard (line 1 column 14)"], None),
        (["TMINUS-SERIAL-0123456789abcdef-"], None),
        (["TMINUS-SERIAL-fedcba9876543210-HCQ08FX50J7"], None),
        (["x TMINUS-SERIAL-0123456789abcdef-HCQ08FX50J7"], None),
        ([commands.serial_number(NONCE)], None),
        ([], None),
    ],
)
def test_a_serial_number_is_read_behind_its_own_marker_only(said: list[str], serial: str | None) -> None:
    assert commands.listed_serial(NONCE, "\r\n".join(said).encode()) == serial


def test_that_errors_are_caught_is_found_out_by_catching_one_before_anything_else_is_asked() -> None:
    with_all = commands.check_file(NONCE, catch=True, dry_run=True)
    places = [with_all.index(word) for word in (":onerror", "TMINUS-CATCH-", "TMINUS-SIZE-", "dry-run")]
    assert places == sorted(places)
    assert ":onerror" not in commands.check_file(NONCE, catch=False, dry_run=True)
    assert commands.has_caught(NONCE, ["Welcome!", NONCE.marker("CATCH"), "TMINUS-SIZE-0123456789abcdef-12"])
    assert not commands.has_caught(NONCE, ["bad command name onerror (line 1 column 2)"])
    assert not commands.has_caught(NONCE, [with_all])


def test_an_answer_is_what_comes_behind_the_marker_of_its_question() -> None:
    assert commands.asked(NONCE, b"Welcome!\r\nTMINUS-ASKED-0123456789abcdef\r\n16777216\r\n") == b"16777216\r\n"
    assert commands.asked(NONCE, b"bad command name x (line 1 column 1)\r\n").startswith(b"bad command name")


def test_the_dry_run_behind_a_size_is_told_apart() -> None:
    output = b"Welcome!\r\nTMINUS-SIZE-0123456789abcdef-12\r\n#line 1\r\n"
    assert commands.after_size(NONCE, output) == b"#line 1\r\n"


def test_the_export_behind_a_removal_is_told_apart() -> None:
    output = b"TMINUS-LEFT-0123456789abcdef-0\r\n# header\r\n/ip\r\nTMINUS-END-0123456789abcdef\r\n"
    rest = commands.after_removal(NONCE, output)
    assert lines(rest) == ["# header", "/ip", "TMINUS-END-0123456789abcdef", ""]
    assert commands.after_removal(NONCE, b"no such item\r\n") == b"no such item\r\n"


@pytest.mark.parametrize(
    "command", [commands.identify(NONCE, stamp=True), commands.evidence(NONCE), commands.stop_jobs(NONCE)]
)
def test_a_line_that_looks_for_our_jobs_is_not_found_by_its_own_pattern(command: str) -> None:
    patterns = set(re.findall(r'script~"([^"]*)"', command))
    assert len(patterns) == 1
    patterns = sorted(patterns)
    assert not re.search(patterns[0], command)
    assert re.search(patterns[0], commands.start(NONCE, catches=True, stamp=True))
    assert re.search(patterns[0], commands.start_detached(NONCE, catches=True, stamp=False))


def test_only_the_jobs_of_this_attempt_are_stopped() -> None:
    (pattern,) = set(re.findall(r'script~"([^"]*)"', commands.stop_jobs(NONCE)))
    other = Nonce.fresh()
    assert not re.search(pattern, commands.start_detached(other, catches=True, stamp=True))
    assert not re.search(pattern, ":delay 600s")


STOPPED, NONE_RUNS, ONE_RUNS = NONCE.marker("STOPPED"), f"{NONCE.marker('RUNS')}-0", f"{NONCE.marker('RUNS')}-1"


@pytest.mark.parametrize(
    ("said", "stopped"),
    [
        ([STOPPED, NONE_RUNS], 1),
        ([STOPPED, STOPPED, NONE_RUNS], 2),
        ([NONE_RUNS], 0),
        ([STOPPED, ONE_RUNS, NONE_RUNS], None),  # it is still listed
        ([STOPPED], None),  # the second look did not come to its end
        (["no such item"], None),
        (["syntax error (line 1 column 2)"], None),
        ([commands.stop_jobs(NONCE)], None),
        (["TMINUS-RUNS-fedcba9876543210-0"], None),
        ([], None),
    ],
)
def test_a_job_is_stopped_once_the_router_says_that_none_is_left(said: list[str], stopped: int | None) -> None:
    assert commands.stopped_jobs(NONCE, said) == stopped


def test_a_job_runs_the_very_line_that_would_run_in_the_foreground() -> None:
    for stamp in (True, False):
        text = re.search(r'script="((?:[^"\\]|\\.)*)"', commands.start_detached(NONCE, catches=True, stamp=stamp))
        assert text is not None
        assert re.sub(r"\\(.)", r"\1", text[1]) == commands.start(NONCE, catches=True, stamp=stamp)


def test_jobs_and_files_are_read_from_behind_the_proof_that_commands_run() -> None:
    other, third = "f" * 16, "e" * 16
    said = [
        f"tminus-{third}.rsc",
        NONCE.marker("ID"),
        f"{NONCE.marker('BUSY')}-2",
        f"tminus-{other}.rsc",
        f"flash/tminus-{other}-export.rsc",
        f"tminus-{other}.txt",
        f"tminus-{NONCE.value}.rsc",
        f"tminus-{other}.rsc.bak",
        f"mytminus-{third}.rsc",
        f"tminus-{third.upper()}.rsc",
    ]
    assert commands.jobs_seen(NONCE, said) == 2
    assert commands.leftovers(NONCE, said) == (Nonce(other),)
    assert commands.jobs_seen(NONCE, [f"{NONCE.marker('BUSY')}-no such item"]) is None
    assert commands.leftovers(NONCE, [f"tminus-{other}.rsc"]) == ()
    assert commands.job_started(NONCE, [f"{NONCE.marker('JOB')} *2205"]) == "*2205"
    assert commands.job_started(NONCE, ["failure: not allowed by device-mode"]) is None


def test_what_a_person_reads_is_free_of_our_markers_alone() -> None:
    text = "one\nTMINUS-OK-0123456789abcdef\nTMINUS-OK-fedcba9876543210\n x TMINUS-ERR-0123456789abcdef"
    assert commands.without_markers(NONCE, text) == "one\nTMINUS-OK-fedcba9876543210\n x TMINUS-ERR-0123456789abcdef"


@pytest.mark.parametrize(
    "value", ["", "0123456789abcde", "0123456789ABCDEF", '0123456789abcde"', "0123456789abcdef\n", "g" * 16]
)
def test_a_nonce_that_could_break_out_of_a_command_cannot_be_made(value: str) -> None:
    with pytest.raises(ValueError, match="16 hexadecimal"):
        Nonce(value)


def test_no_two_nonces_are_the_same() -> None:
    assert len({Nonce.fresh() for _ in range(1000)}) == 1000

"""RouterOS's own texts, as the public record has them."""

from __future__ import annotations

import time

import pytest

from tminus.routeros.messages import dry_run_errors, import_error, is_error_line, is_missing_file, is_parse_error

PARSE_ERRORS = """\
bad command name this (line 1 column 1)
syntax error (line 1 column 7)
expected end of command (line 1 column 37)
expected command name (line 17 column 6)
expected name value (line 7 column 1)
bad parameter no-such-property (line 2 column 23)""".splitlines()
RUN_ERRORS = """\
no such item
failure: already have interface with name bridge
failure: not allowed by device-mode (/system/scheduler/add; line 1)
failure: dhcp-client on that interface already exists (/ip/dhcp-client/add; line 2)
failure: contents too long
failure: dns name does not exist
failure: authentication failure (/system/ssh-exec; line 1)
failure: closing connection: <connection failed> 192.0.2.1:22 (12)
input does not match any value of interface
input does not match any value of list (/interface/list/member/add (list); line 5)
value of range must have ip address before '-' (/ip/pool/add (range); line 1)
value of range expects range of ip addresses
value of mtu contains invalid trailing characters
invalid value of address, mac address required
invalid value for argument address
ambiguous value of pool
ambiguous value of profile, more than one possible value matches input
missing value(s) of argument(s) password
missing value(s) of argument(s) password (/system/backup/load; line 1)
expected item id (line 3 column 7)
not enough permissions (9)
cannot run, not enough permissions.
resolve failed
action timed out - try again, if error continues contact MikroTik support and send a supout file (13)
runtime limit exceeded
std failure: timeout
interrupted
Script Error: no such item
no WAN address (:error; line 3)
anything at all (/ip/pool/add (range); line 1)""".splitlines()
NO_FILE = "Cannot open import file, file does not exist"
PLAIN_SCRIPT = b'/ip address\nadd address=192.0.2.1/24 interface=ether1 comment="running, parsed and exported"\n'


@pytest.mark.parametrize("text", [*PARSE_ERRORS, *RUN_ERRORS, NO_FILE, NO_FILE + " (:import; line 1)"])
def test_every_error_of_the_record_is_an_error(text: str) -> None:
    assert is_error_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Script file loaded and executed successfully",
        "No syntax errors found in the import file",
        "no failure: all good",
        " failure: indented by the script",
        "7 items (line 3 column 2) and more",
        "done (6 of 6)",
        "see (/ip/address)",
        "router 1 (line 2)",
        "errors: 0",
    ],
)
def test_what_a_script_may_say_is_no_error(text: str) -> None:
    assert not is_error_line(text)


@pytest.mark.parametrize("piece", ["(/", "(line ", "(line 1 column ", "((/;", "(/a (", "(:", "( "])
def test_a_long_line_takes_no_time(piece: str) -> None:
    begin = time.process_time()
    is_error_line("x" + piece * (1_000_000 // len(piece)))
    is_parse_error("syntax error " + piece * (1_000_000 // len(piece)), b"")
    assert time.process_time() - begin < 3.0


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            "Script Error: failure: already have interface with name bridge (/interface/bridge/add; line 2) (:import; line 1)",
            "failure: already have interface with name bridge (/interface/bridge/add; line 2)",
        ),
        ("Script Error: bad command name this (line 1 column 1)", "bad command name this (line 1 column 1)"),
        ("Cannot open import file, file does not exist (:import; line 1)", NO_FILE),
        ("script error: no such item", "no such item"),
        ("Script Error: Script Error: no such item (:import; line 3) (:import; line 1)", "Script Error: no such item (:import; line 3)"),
        ("no such item", "no such item"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_import_puts_around_an_error_is_taken_off_once(said: str, error: str) -> None:
    assert import_error(said) == error


@pytest.mark.parametrize("text", PARSE_ERRORS)
def test_an_error_of_the_parser_means_that_nothing_ran(text: str) -> None:
    assert is_parse_error(text, PLAIN_SCRIPT)


@pytest.mark.parametrize(
    "text",
    [
        *RUN_ERRORS,
        "bad command name this",  # no place: not the parser's
        "Script Error: bad command name this (line 1 column 1)",  # of a script that the script ran
        "bad command name this (line 1 column 1) (:import; line 3)",
        "syntax error (/ip/address/add; line 1)",
        "failure: syntax error (line 1 column 7)",
    ],
)
def test_no_other_error_does(text: str) -> None:
    assert not is_parse_error(text, PLAIN_SCRIPT)


# A script that can run other code, or print such a text, can meet the error after half of its own work.
@pytest.mark.parametrize(
    "line",
    [
        b"[:parse $code]",
        b":local f [:pars $code]",
        b"/import other.rsc",
        b"/imp other.rsc",
        b":execute script=$code",
        b":exe $code",
        b"/system script run other",
        b"/system/script/ru other",
        b":global cleanUp; $cleanUp",
        b":gl cleanUp",
        b":error (\"bad command name x (line 1 column 1)\")",
        b":put \"syntax error (line 3 column 4)\"",
    ],
)  # fmt: skip
def test_behind_other_code_an_error_of_the_parser_proves_nothing(line: bytes) -> None:
    script = b"/ip address add address=192.0.2.1/24 interface=ether1\n" + line + b"\n"
    assert not is_parse_error(PARSE_ERRORS[0], script)
    assert not is_missing_file(NO_FILE, script)


def test_a_missing_file_is_ours_only_if_the_script_imports_none() -> None:
    assert is_missing_file(NO_FILE, PLAIN_SCRIPT)
    assert not is_missing_file("failure: " + NO_FILE, PLAIN_SCRIPT)


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (["#line 1", ":put 1", "expected name value (line 7 column 1)", "Script Error: found 1 error(s) in import file"],
         "expected name value (line 7 column 1)"),
        (["a (line 1 column 2)", "b (line 2 column 3)", "found 2 error(s) in import file"], "b (line 2 column 3)"),
        (["Script Error: found 1 error(s) in import file"], "Script Error: found 1 error(s) in import file"),
        (["No syntax errors found in the import file"], None),
        (["#line 1", ":put 1"], None),
        ([], None),
    ],
)  # fmt: skip
def test_what_a_dry_run_found(said: list[str], found: str | None) -> None:
    assert dry_run_errors(said) == found

"""Where a script does something else than was meant: variables, selections, waiting, names, bytes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.lint.test_hazards import DANGER, NOTE, WARNING, found, serious
from tminus.routeros.lint import Severity, inspect

PITFALLS: list[tuple[str, str, Severity]] = [
    # Variables.
    (":put $nowhere", "undeclared-variable", WARNING),
    (':put "a $nowhere b"', "undeclared-variable", WARNING),
    ("/ip address add address=$nowhere interface=ether1", "undeclared-variable", WARNING),
    (":if (true) do={ :local y 2 }\n:put $y", "local-out-of-scope", WARNING),
    (":foreach i in={1} do={ :local y 2 }; :put $y", "local-out-of-scope", WARNING),
    (":foreach i in={1} do={ :put $i }; :put $i", "local-out-of-scope", WARNING),
    (":put $late\n:local late 1", "used-before-declared", WARNING),
    (":local x 1; :local f do={ :put $x }; $f", "outside-of-function", WARNING),
    (":global x 1; :local f do={ :put $x }; $f", "outside-of-function", WARNING),
    (":local x 1\n:put $x", "local-across-lines", NOTE),
    (":global x 1", "global-stays", NOTE),
    # Selections.
    ("/ip route remove [find]", "selects-everything", DANGER),
    ("/ip firewall nat disable [find]", "selects-everything", DANGER),
    ("/queue simple set [find] disabled=yes", "selects-everything", WARNING),
    ("/queue simple remove numbers=[find]", "selects-everything", DANGER),
    (":foreach i in=[/queue simple find] do={ /queue simple remove $i }", "selects-everything", DANGER),
    (":local all [/queue simple find]; /queue simple remove $all", "selects-everything", DANGER),
    ("/queue simple remove 0", "selects-by-number", WARNING),
    ("/queue simple remove [find name=x]", "nothing-found-is-silent", NOTE),
    # Waiting.
    (":while (true) do={ :delay 1s }", "endless-loop", DANGER),
    (":while (1 = 1) do={ :local f do={ :return 1 } }", "endless-loop", DANGER),
    (":do { :put x } while=(true)", "endless-loop", DANGER),
    (":for i from=1 to=5 step=0 do={ :put $i }", "endless-loop", DANGER),
    (":delay 1h", "delay-too-long", DANGER),
    (":delay 600", "delay-too-long", DANGER),
    (":delay 00:10:00", "delay-too-long", DANGER),
    (":delay 5m; :put x; :delay 5m", "delay-too-long", DANGER),
    ("/ip address print follow", "never-ends", DANGER),
    ("/interface print interval=1", "never-ends", DANGER),
    ("/interface monitor-traffic ether1", "never-ends", DANGER),
    ("/ping 1.2.3.4", "never-ends", DANGER),
    ("/tool torch ether1", "never-ends", DANGER),
    ("/system ssh address=1.2.3.4", "asks-a-person", DANGER),
    ("/ip address edit 0 address", "asks-a-person", DANGER),
    (":local x [/terminal ask prompt=x]", "asks-a-person", DANGER),
    # Errors, versions, names.
    (":set nowhere 1", "set-of-undeclared", Severity.ERROR),
    (":local f do={ :set x 1 }; $f", "set-of-undeclared", Severity.ERROR),
    (":if (1 = 2) do={ :return 1 }; :put x", "return-outside-of-function", WARNING),
    (":do { /ip address print } on-error={}", "errors-swallowed", NOTE),
    (":onerror e in={ :put x } do={}", "errors-swallowed", NOTE),
    (":onerror e in={ :put x } do={ :put $e }", "needs-version", NOTE),
    ("frobnicate all", "unknown-command", WARNING),
    ("/container add remote-image=x", "unknown-command", WARNING),
    ("/system routerboard print", "not-on-every-router", NOTE),
    ("/ip address add address=1.2.3.4/24 interface=ether1 colour=red", "unknown-parameter", WARNING),
    ('/system script add name=x source=":if ("', "code-not-readable", WARNING),
]


@pytest.mark.parametrize(("script", "code", "severity"), PITFALLS, ids=[row[0] for row in PITFALLS])
def test_a_pitfall_is_found(script: str, code: str, severity: Severity) -> None:
    assert found(script)[code].severity is severity


SOUND = [
    ":local x 1; :put $x",
    ":local x 1\n:if (true) do={ :put $x; :set x 2 }",
    ":global x 1; :local f do={ :global x; :put $x }; $f",
    ":local f do={ :put $name }; $f name=1",
    ":local f do={ :put $1; :put $anything }; $f 1",
    ":for i from=1 to=3 do={ :put $i }",
    ":foreach k,v in={a=1} do={ :put $k; :put $v }",
    ":onerror e in={ :error x } do={ :put $e }",
    ":if (true) do={ :global x 1 }; :put $x",
    '/ip dhcp-server add name=x interface=ether1 lease-script={ :put $leaseBound }',
    "/queue simple remove [find name=x]",
    ":foreach i in=[/queue simple find] do={ :if ([/queue simple get $i name] = 1) do={ /queue simple remove $i } }",
    "/queue simple remove *1A",
    ":while (true) do={ :if ([:len [/file find]] = 3) do={ :error done } }",
    ":while (true) do={ :if (1 = 2) do={ :break } }",
    ":local i 0; :while ($i < 3) do={ :set i ($i + 1) }",
    ":delay 9m59s",
    ":execute { :delay 1h }",
    ":if (true) do={ :delay 5m } else={ :delay 5m }",
    "/ping 1.2.3.4 count=3",
    "/interface monitor-traffic ether1 once",
    "/interface ethernet monitor ether1 once",
    "/tool profile duration=5s",
    ":local x [/terminal inkey timeout=1s]",
    '/system scheduler add name=x on-event="/ping 1.2.3.4" interval=1d',
]  # fmt: skip


@pytest.mark.parametrize("script", SOUND)
def test_what_is_sound_is_not_told_of(script: str) -> None:
    assert serious(script) == {}


def test_a_delay_is_held_against_the_site_timeout_of_the_script() -> None:
    assert "delay-too-long" in found(":delay 60", site_timeout=timedelta(seconds=30))
    assert "delay-too-long" not in found(":delay 60", site_timeout=timedelta(hours=1))


def test_globals_are_told_of_together_and_not_if_they_are_taken_away() -> None:
    stays = found("\n".join(f":global v{n} 1" for n in range(9)))["global-stays"]
    assert stays.count == 9
    assert "v0, v1, v2, v3, v4 and 4 more" in stays.message
    assert "global-stays" not in found(":global x 1\n:set x")
    assert "global-stays" not in found(":global x\n:put $x"), "it was there before"
    assert "global-stays" in found(":global x\n:set x 1")


def test_the_refusal_is_the_routers_own_with_its_place() -> None:
    seen = inspect(b":put hello\n:if (true do={ :put x }")
    assert (seen.valid, seen.message, seen.line) == (False, "syntax error", 2)
    error = seen.findings[0]
    assert (error.code, error.severity, error.line, error.column) == ("syntax-error", Severity.ERROR, 2, seen.column)


def test_what_only_another_version_would_know_is_looked_at_all_the_same() -> None:
    seen = found("/container/config set registry-url=x\n/system reboot")
    assert seen["syntax-error"].severity is Severity.ERROR
    assert "unless it has the package" in seen["syntax-error"].message
    assert "reboot" in seen
    assert "not-looked-at" not in seen


def test_after_a_syntax_error_the_other_commands_are_looked_at_and_what_was_left_out_is_said() -> None:
    seen = found("/system reboot\n:put )\n/user remove x")
    assert {"reboot", "syntax-error", "not-looked-at"} <= set(seen)
    assert "line 2" in seen["not-looked-at"].message
    assert "user-changed" in seen


def test_in_a_line_only_the_wrong_command_is_left_out() -> None:
    seen = found(":put a; :put ); /system reboot")
    assert (seen["reboot"].line, seen["reboot"].column) == (1, 17)


def test_where_nothing_can_be_read_that_is_said() -> None:
    assert "nothing of it" in found(":if (true) do={\n" * 60)["not-looked-at"].message


def test_an_unknown_name_is_placed_where_the_router_points() -> None:
    finding = found(":put x\n  /ip frobnicate all")["unknown-command"]
    assert (finding.line, finding.column) == (2, 7)
    assert "'bad command name frobnicate'" in finding.message


def test_bytes_that_are_not_utf_8_are_told_with_their_place() -> None:
    finding = found(b':put a\n:put "\t\xef\xf0"')["not-utf-8"]
    assert (finding.line, finding.column) == (2, 8)
    assert "0xef" in finding.message


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (b"\xef\xbb\xbf:put a", "byte-order-mark"),
        (b":put a\0", "nul-byte"),
        (":put \"\u202e\"".encode(), "hidden-characters"),
        (":put \"a\u200bb\"".encode(), "hidden-characters"),
        (b":put \"\x1b[2J\"", "hidden-characters"),
    ],
)  # fmt: skip
def test_bytes_that_are_not_seen_are_told_of(script: bytes, code: str) -> None:
    assert code in found(script)


def test_letters_of_all_languages_are_fine() -> None:
    assert found(':put "Grüße, Привет, 你好"') == {}

"""Post-checks: which texts may be put into a line of ours, what values do in them, and what the router's answer means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tminus.device.connection import LONGEST_COMMAND
from tminus.domain.endings import completed, partly_applied
from tminus.routeros import commands
from tminus.routeros.commands import Nonce
from tminus.routeros.language import ScriptSyntaxError, ast, parse
from tminus.routeros.lint import inspect
from tminus.routeros.post_checks import MAX_BYTES, render, why_no_expression, written
from tminus.routeros.rendering import RenderingRefused
from tminus.services.post_checks import not_made

NONCE = Nonce("0123456789abcdef")
ROUTE = "[:len [/ip route find gateway=10.0.0.1]] > 0"


@pytest.mark.parametrize(
    "check",
    [
        ROUTE,
        "true",
        '[/system identity get name] = "a]\\"(b"',
        '[:len [:toarray {1;2}]] = 2 and ("a" ~ "^[a-z]\\$")',
        '[/interface get [find name="éth"] running]',
    ],
)
def test_an_expression_goes_into_a_line(check: str) -> None:
    assert why_no_expression(check.encode()) is None


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ("", "it is empty"),
        ("true) }; /system reboot; :if (true) do={ (true", "')' closes what was not opened"),
        ("true; /system reboot", "more than one statement"),
        ("[:len 1", "'[' is not closed"),
        ("[:len (1]", "']' closes"),
        ('"abc', "a string in it is not closed"),
        ('"abc\\', "a string in it is not closed"),
        ("1 \\) > 0", "outside of a string"),
        ('"$[:put ")"]" = ""', "computes something"),
        ('"$(1 + 1)" = "2"', "computes something"),
        ("true # )", "a comment"),
        ("[find name=é]", "not ASCII"),
        ('"' + "é" * (MAX_BYTES // 4) + '"', "bytes, and at most"),
        ("a( ) b{ } [; /system reboot]", "right behind a word"),
        ("true\n/system reboot", "more than one line"),
        ("true\r", "control character"),
        ('"\\\n"', "more than one line"),
        ("1" * (MAX_BYTES + 1), "bytes, and at most"),
    ],
)
def test_what_could_leave_its_parentheses_does_not_go_into_a_line(check: str, why: str) -> None:
    said = why_no_expression(check.encode())
    assert said is not None
    assert why in said


@given(st.text(st.sampled_from('()[]{}";:$\\ #\n=true1/put'), max_size=30))
def test_whatever_is_let_through_stays_in_its_block(check: str) -> None:
    if why_no_expression(check.encode()) is not None:
        return
    try:
        program = parse(commands.try_post_check(NONCE, 1, written(check.encode())).encode(), tolerant=True)
    except ScriptSyntaxError:
        return  # nothing of such a line is run
    names = [each.name for each in program.statements if isinstance(each, ast.Command)]
    assert names == ["if", "put"], check


def test_what_is_not_ascii_is_written_as_the_router_writes_it() -> None:
    assert written('[find name="éth"] = "\\"\\\\"'.encode()) == '[find name="\\C3\\A9th"] = "\\"\\\\"'


def test_the_longest_check_fits_into_one_command() -> None:
    check = b"1" * MAX_BYTES
    assert why_no_expression(check) is None
    for line in (commands.try_post_check(NONCE, 20, written(check)), commands.post_check(NONCE, 20, written(check))):
        assert len(line.encode()) <= LONGEST_COMMAND


def test_values_are_quoted_in_checks_as_in_the_script() -> None:
    found = render(
        b":put $(zone)", [b"[:len [/ip route find gateway=$(gw)]] > $(n)"], {"zone": 'a"b', "gw": "1.1.1.1;]", "n": 0}
    )
    assert found.script == b':put "a\\22b"'
    assert found.checks == (b'[:len [/ip route find gateway="1.1.1.1;]"]] > 0',)
    assert why_no_expression(found.checks[0]) is None
    assert render(b":put 1", [ROUTE.encode()], {}).checks == (ROUTE.encode(),)


def test_a_value_finds_no_way_from_the_script_into_code_of_a_check() -> None:
    with pytest.raises(RenderingRefused, match="makes code of a variable"):
        render(b":global x $(v)", [b"[[:parse $x]]"], {"v": "/system reboot"})
    with pytest.raises(RenderingRefused, match="neither the site"):
        render(b":put 1", [b"$(v)"], {})


def test_only_the_boolean_true_behind_our_own_marker_is_true() -> None:
    def result(*said: str) -> tuple[str, str] | None:
        return commands.post_check_result(NONCE, 2, list(said))

    mark = "TMINUS-CHECK-0123456789abcdef-2-"
    assert result("noise", mark + "bool-true") == ("bool", "true")
    assert result(mark + "bool-false") == ("bool", "false")
    assert result(mark + "str-true") == ("str", "true")
    assert result(mark + "nil-") == ("nil", "")
    assert result("bool-true", "TMINUS-CHECK-0123456789abcdef-1-bool-true", "TMINUS-CHECK-2-bool-true") is None


def test_of_a_proof_that_comes_late_it_is_said_that_the_checks_were_not_made() -> None:
    done = completed("The script ran to its end.")
    assert not_made(done, [b"true"]).message == "The script ran to its end. Its post-checks were not made."
    assert not_made(done, []) == done
    broken = partly_applied("It failed.")
    assert not_made(broken, [b"true"]) == broken


@pytest.mark.parametrize(
    ("check", "code", "says"),
    [
        ("[:len [/ip rout find", "post-check-refused", "'[' is not closed"),
        ("[/ip route get 0 nonsense=1]", "post-check-refused", "Post-check 2: expected end of command"),
        ("[:lenn 1] = 1", "unknown-command", "Post-check 2: "),
        ("true) }; :put (1", "post-check-refused", "closes what was not opened"),
        ("$(a)) }; :put (1", "post-check-refused", "closes what was not opened"),
        ("[/ip route add dst-address=192.0.2.0/24]", "post-check-acts", "(/ip route add)"),
        ("[:execute script=x]", "post-check-acts", "more than look"),
        ("$nowhere = 1", "undeclared-variable", "Post-check 2: "),
        ("[[:parse $(a)]]", "placeholder-refused", "could become code"),
    ],
)
def test_what_is_wrong_with_a_check_is_found_where_it_is_submitted(check: str, code: str, says: str) -> None:
    found = [each for each in inspect(b":put 1", post_checks=[ROUTE, check]).findings if each.code == code]
    assert found
    assert says in found[0].message
    assert not inspect(b":put 1", post_checks=[ROUTE]).findings

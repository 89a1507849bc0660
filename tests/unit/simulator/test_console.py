"""The console language, as the simulator runs it."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("(1 + 2)", "3"),
        ("(7 / 2)", "3"),
        ("(-7 / 2)", "-3"),
        ("(7 % 4)", "3"),
        ("(1 << 4)", "16"),
        ("(12 & 10)", "8"),
        ('("a" . "b" . 3)', "ab3"),
        ("(1 < 2)", "true"),
        ("(2 = 3)", "false"),
        ('("abc" ~ "b.")', "true"),
        ("(10.0.0.5 in 10.0.0.0/24)", "true"),
        ("(10.0.1.5 in 10.0.0.0/24)", "false"),
        ("(10.0.0.1 + 5)", "10.0.0.6"),
        ("(true && false)", "false"),
        ("(true || false)", "true"),
        ("(!true)", "false"),
        ('[:len "abcd"]', "4"),
        ("[:len {1;2;3}]", "3"),
        ('[:pick "abcdef" 1 3]', "bc"),
        ('[:pick "abcdef" 2]', "c"),
        ('[:find "abcabc" "c"]', "2"),
        ('[:find "abcabc" "c" 2]', "5"),
        ('[:typeof [:find "abc" "x"]]', "nil"),
        ("[:typeof 5]", "num"),
        ('[:typeof "5"]', "str"),
        ("[:typeof 1.2.3.4]", "ip"),
        ("[:typeof 10.0.0.0/8]", "ip-prefix"),
        ("[:typeof 10s]", "time"),
        ("300ms", "00:00:00.3"),
        ("1d2h", "1d02:00:00"),
        ("90s", "00:01:30"),
        ("(1m + 5s)", "00:01:05"),
        ("[:typeof yes]", "bool"),
        ("[:typeof $undefined]", "nothing"),
        ('[:tonum "42"]', "42"),
        ("[:tostr 5]", "5"),
        ('[:toarray "a,b"]', "a;b"),
        ('({a=1;b=2}->"b")', "2"),
    ],
)
async def test_expression(router, expression: str, printed: str) -> None:
    assert await router.put(expression) == printed


async def test_division_by_zero_is_a_run_time_error(router) -> None:
    assert "division by zero" in await router.run(":put (1 / 0)")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('(!"text")', "cannot invert string (:put; line 1)"),
        ('("a" + 1)', "cannot add string to integer number (:put; line 1)"),
        ("(1 << -1)", "negative shift count (:put; line 1)"),
        ('("a" ~ "(")', "bad regular expression (:put; line 1)"),
    ],
)
async def test_what_operators_refuse(router, expression: str, message: str) -> None:
    assert await router.put(expression) == message


async def test_loops_and_conditions(router) -> None:
    assert await router.run(":for i from=1 to=3 do={ :put $i }") == "1\n2\n3\n"
    assert await router.run(":for i from=3 to=1 do={ :put $i }") == "3\n2\n1\n"
    assert await router.run(":for i from=0 to=10 step=5 do={ :put $i }") == "0\n5\n10\n"
    assert await router.run(":foreach i in={4;5} do={ :put $i }") == "4\n5\n"
    assert await router.run(":foreach k,v in={a=4;b=5} do={ :put ($k . $v) }") == "a4\nb5\n"
    assert await router.run(":local n 0; :while ($n < 3) do={ :set n ($n + 1) }; :put $n") == "3\n"
    assert await router.run(':if (1 = 2) do={ :put "yes" } else={ :put "no" }') == "no\n"


async def test_a_function_sees_its_arguments_and_only_globals_that_it_declares(router) -> None:
    await router.run(":global shared 7")
    line = ":local f do={ :global shared; :return ($1 + $add + $shared) }; :put [$f 1 add=2]"
    assert await router.run(line) == "10\n"
    assert await router.run(":local secret 9; :local f do={ :put [:typeof $secret] }; $f") == "nothing\n"


async def test_locals_end_with_their_block(router) -> None:
    assert await router.run("{ :local x 5 }; :put [:typeof $x]") == "nothing\n"


async def test_array_elements_can_be_set(router) -> None:
    assert await router.run(":local a {1;2}; :set ($a->1) 9; :put $a") == "1;9\n"
    assert await router.run(':local a [:toarray ""]; :set ($a->"k") "v"; :put ($a->"k")') == "v\n"


async def test_after_a_failing_statement_the_rest_of_the_line_does_not_run(router) -> None:
    printed = await router.run(':put "before"; :error "broken"; :put "after"')
    assert printed == "before\nbroken (:error; line 1)\n"


async def test_a_syntax_error_anywhere_means_that_nothing_ran(router) -> None:
    printed = await router.run(':put "before"; /ip adress print')
    assert "before" not in printed
    assert "(line 1 column" in printed


async def test_on_error_and_onerror_catch(router) -> None:
    assert await router.run(':do { :error "x" } on-error={ :put "caught" }') == "caught\n"
    caught = await router.run(':onerror e in={ :error "x" } do={ :put "got $e" }')
    assert caught == "got x (:error; line 1)\n"
    assert await router.put(":onerror e in={ :put 1 } do={ :put 2 }".join("[]")) == "1\nfalse"


async def test_onerror_is_unknown_before_7_13(make_router) -> None:
    old = make_router("7.12.2")
    assert await old.run(":onerror e") == "bad command name onerror (line 1 column 2)\n"
    # Behind a name that is no command no brace can stand, as the verdicts of routers on other names say.
    assert await old.run(":onerror e in={ :put 1 } do={ :put 2 }") == "syntax error (line 1 column 14)\n"


async def test_error_paths_are_printed_by_late_versions_only(make_router) -> None:
    assert await make_router("7.12.2").run(':error "x"') == "x\n"
    assert await make_router("7.24.4").run(':error "x"') == "x (:error; line 1)\n"


async def test_deep_recursion_ends_with_an_error(router) -> None:
    printed = await router.run(":global f do={ :global f; $f }; $f")
    assert "recursion" in printed


@pytest.mark.parametrize(
    "body",
    [
        ':if (true) do={ :foreach i in={1} do={ :onerror e in={ :put [$f (1 + [:len "a"])] } do={ :error $e } } }',
        ":do { :do { :do { :do { $f } while=(false) } while=(false) } while=(false) } on-error={ :error again }",
        ":foreach a in={1;2} do={ :put [$f ({{{$1;1};2};3}->0)] }",
    ],
)
async def test_deep_recursion_through_nested_commands_ends_with_an_error(router, body: str) -> None:
    printed = await router.run(f":global f do={{ :global f; {body} }}; $f; :put never")
    assert "recursion" in printed or "again" in printed
    assert "never" not in printed
    assert await router.put("(1 + 1)") == "2"


async def test_bytes_that_are_no_utf8_survive(router) -> None:
    assert (await router.run(b':put "\xff\xfe"')).encode("utf-8", "surrogateescape") == b"\xff\xfe\n"


async def test_execute_outlives_its_line_and_is_a_job(router) -> None:
    printed = await router.run(
        ':put [/system script job print count-only]; :execute script={ :delay 1ms; :log info "ran" }'
    )
    assert printed.startswith("0")
    job = next(iter(router.router.jobs.values()))
    assert job.task is not None
    await job.task
    assert await router.run(':foreach i in=[/log find where message="ran"] do={ :put [/log get $i topics] }') == (
        "script,info\n"
    )
    assert not router.router.jobs


async def test_parse_gives_code_that_can_be_called(router) -> None:
    assert await router.run(':local f [:parse ":put hello"]; $f') == "hello\n"


async def test_names_are_resolved_from_the_static_entries_only(router) -> None:
    assert await router.put("[:resolve router.lan]") == "192.168.88.1"
    printed = await router.run('{ :put [:resolve www.example.com]; :put "lala";}')
    assert printed == "failure: dns name does not exist (:resolve; line 1)\n"


async def test_code_can_be_kept_and_called(router) -> None:
    assert await router.run(":local f (>[:put $1]); $f hello") == "hello\n"


async def test_retry_gives_up_after_its_limit(router) -> None:
    line = ":global n 0; :retry command={ :global n; :set n ($n + 1); :error x } delay=1ms max=3 on-error={ :put gone }"
    assert await router.run(line) == "gone\n"
    assert await router.run(":global n; :put $n") == "3\n"


async def test_abbreviations_and_both_path_styles(router) -> None:
    assert await router.run("/ip addr pr count-only") == "1\n"
    assert await router.run("/ip/address/print count-only") == "1\n"
    assert await router.run("/ip address; print count-only") == "1\n"


async def test_stored_scripts_run(router) -> None:
    await router.run('/system script add name=hi source=":put hello"')
    assert await router.run("/system script run hi") == "hello\n"
    assert "/system script\nadd name=hi policy=\\\n" in router.body()


async def test_a_property_keeps_the_spelling_of_a_constant(router) -> None:
    await router.run("/ip address set 0 comment=0x10")
    assert await router.put("[/ip address get 0 comment]") == "0x10"
    await router.run("/interface bridge add name=br1 comment=yes")
    assert await router.put("[/interface bridge get br1 comment]") == "yes"

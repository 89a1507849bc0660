"""The functions of the language: what they give, and what they refuse."""

from __future__ import annotations

import re

import pytest


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        # Arrays: elements without a key come first, the others by their keys (documented).
        ("{b=2;a=1;5}", "5;a=1;b=2"),
        ('({a=1}->"a")', "1"),
        ('[:typeof ({a=1}->"b")]', "nothing"),
        ("({1;2;3}->1)", "2"),
        ("[:len {a=1;b=2}]", "2"),
        ('[:len ""]', "0"),
        ("[:len $nothing]", "0"),
        ('[:toarray "a,b"]', "a;b"),
        ('([:toarray "1,2,3"]->2)', "3"),
        ("({1;2} , 3)", "1;2;3"),
        ("({1;2} , {a=3})", "1;2;a=3"),
        ('[:find {"a";"b"} "b"]', "1"),
        ("[:pick {1;2;3;4} 1 3]", "2;3"),
        ("[:typeof [:pick {1;2} 7]]", "nothing"),
        # Text
        ('[:pick "abcdef" 2]', "c"),
        ('[:pick "abcdef" 2 99]', "cdef"),
        ('[:typeof [:pick "abc" 7]]', "nil"),
        ('[:find "abcabc" "b" 1]', "4"),
        ('[:typeof [:find "abc" "z"]]', "nil"),
        ('("a" . 1 . true)', "a1true"),
        ('("abc" ~ "^a[[:alpha:]]c\\$")', "true"),
        ('("a1c" ~ "^a[[:alpha:]]c\\$")', "false"),
        ('[:len "\\C3\\A9"]', "2"),
        ("[:tostr 1.2.3.4]", "1.2.3.4"),
        ("[:tostr {1;2}]", "1;2"),
        ('[:len [:tocrlf "a\\nb"]]', "4"),
        ('[:len [:tolf "a\\r\\nb"]]', "3"),
        # Numbers are signed and have 64 bits.
        ("(9223372036854775807 + 1)", "-9223372036854775808"),
        ("(1 << 63)", "-9223372036854775808"),
        ("(0xFF & 0x0F)", "15"),
        ("(5 ^ 1)", "4"),
        ("(~5)", "-6"),
        ("(-5)", "-5"),
        ("(7 % 3)", "1"),
        ("(1 <> 2)", "true"),
        ('[:tonum "0x1F"]', "31"),
        ('[:typeof [:tonum "12a"]]', "nil"),
        ("[:tonum 00:01:00]", "60"),
        ("[:tobool 1]", "true"),
        ('[:tobool "no"]', "false"),
        ('[:toid "*1F"]', "*1F"),
        ("[:range 1 4]", "1;2;3;4"),
        ("[:range from=3 to=1]", "3;2;1"),
        # Addresses
        ("(10.0.0.255 + 1)", "10.0.1.0"),
        ("(10.0.1.0 - 10.0.0.0)", "256"),
        ("(192.168.1.77 & 255.255.255.0)", "192.168.1.0"),
        ("(192.168.1.0 | 0.0.0.255)", "192.168.1.255"),
        ("(~255.255.255.0)", "0.0.0.255"),
        ("(10.0.0.1 < 10.0.0.2)", "true"),
        ('[:toip "10.0.0.1"]', "10.0.0.1"),
        ('[:typeof [:toip "10.0.0"]]', "nil"),
        ('[:toip6 "2001:DB8::1"]', "2001:db8::1"),
        ("(10.1.2.0/24 in 10.0.0.0/8)", "true"),
        ('("10.1.2.3/24" in 10.1.2.0/24)', "true"),
        # Time
        ("(1h + 30m)", "01:30:00"),
        ("(1d - 1s)", "23:59:59"),
        ("(10m * 3)", "00:30:00"),
        ("(1h / 2)", "00:30:00"),
        ("(1h / 20m)", "3"),
        ("(1m > 59s)", "true"),
        ('[:totime "1w2d"]', "1w2d00:00:00"),
        ("[:totime 90]", "00:01:30"),
        ("[:tonsec 1500ms]", "1500000000"),
        # Conversion; the documented examples first
        ("[:convert 001 to=hex]", "31"),
        ('[:convert transform=lc "AAA"]', "aaa"),
        ('[:convert "abcd" to=base64]', "YWJjZA=="),
        ('[:convert from=base64 "YWJjZA=="]', "abcd"),
        ('[:convert from=hex "616263"]', "abc"),
        ('[:convert "abcd" transform=reverse]', "dcba"),
        ('[:convert "hello" transform=rot13]', "uryyb"),
        ('[:convert "EF" from=hex to=bit-array-lsb]', "1;1;1;1;0;1;1;1"),
        ('[:convert "EF" from=hex to=bit-array-msb]', "1;1;1;0;1;1;1;1"),
        ('[:convert "a b&c" to=url]', "a%20b%26c"),
        ('[:convert from=url "a%20b"]', "a b"),
        ('[:convert "AZ" to=byte-array]', "65;90"),
        ("[:convert from=byte-array {72;105}]", "Hi"),
        ('[:convert from=hex to=num "0102"]', "258"),
        ('[:convert "abc" to=base32]', "MFRGG==="),
        ('[:convert "abc" transform=md5 to=hex]', "900150983cd24fb0d6963f7d28e17f72"),
        # JSON; the documented examples first
        (':serialize value={"a";"b";"c"} to=json', '["a","b","c"]'),
        (':serialize to=json value={string="1234";number=1234}', '{"number":1234,"string":1234.000000}'),
        (
            ':serialize to=json value={string="1234";number=1234} options=json.no-string-conversion',
            '{"number":1234,"string":"1234"}',
        ),
        (":serialize to=json value=[:toarray \"\"]", "[]"),
        (":serialize to=json value={a={b={1;2};c=true};d=1.2.3.4}", '{"a":{"b":[1,2],"c":true},"d":"1.2.3.4"}'),
        (':serialize to=json value={q="x\\"\\\\\\n"}', '{"q":"x\\"\\\\\\n"}'),
        (":serialize to=json value={a=1} options=json.pretty", '{\n    "a": 1\n}'),
        (':serialize to=dsv delimiter=";" value={a={1;2};b={3;4}} order={"b";"a"}', "b;a\n3;1\n4;2"),
        ('([:deserialize from=json value="{\\"a\\":{\\"b\\":[1,\\"x\\"]}}"]->"a"->"b"->1)', "x"),
        ('[:typeof [:deserialize from=json value="\\"192.168.1.1\\""]]', "ip"),
        ('[:typeof [:deserialize from=json value="\\"123\\""]]', "num"),
        ('[:typeof [:deserialize from=json value="\\"123\\"" options=json.no-string-conversion]]', "str"),
        ('[:typeof [:deserialize from=json value="null"]]', "nothing"),
        ('([:deserialize from=dsv delimiter=";" value="a;b\\nc;d"]->1->0)', "c"),
    ],
)  # fmt: skip
async def test_what_a_function_gives(router, expression: str, printed: str) -> None:
    if expression.startswith(":"):
        expression = f"[{expression}]"
    assert await router.put(expression) == printed


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("[:convert abc to=morse]", "input does not match any value of to"),
        ('[:convert "zz" from=hex]', "invalid value for argument value"),
        ('[:deserialize from=json value="{"]', "failure: json parsing failed"),
        ("[:serialize to=xml value=1]", "input does not match any value of to"),
        ("[:range 1 99999999]", "invalid value for argument to"),
        ("[:rndnum from=5 to=1]", "invalid value for argument from"),
        ("(1 / 0)", "division by zero"),
        ("(1 % 0)", "division by zero"),
    ],
)
async def test_what_a_function_refuses(router, expression: str, message: str) -> None:
    assert (await router.put(expression)).startswith(message)


async def test_what_a_router_serializes_it_reads_again(router) -> None:
    line = (
        ':local a {x=1;y={1;2;{z=true}};s="a b"}; :local j [:serialize to=json value=$a];'
        ":put [:serialize to=json value=[:deserialize from=json value=$j]]; :put $j"
    )
    first, second = (await router.run(line)).splitlines()
    assert first == second == '{"s":"a b","x":1,"y":[1,2,{"z":true}]}'


async def test_a_whole_menu_as_json(router) -> None:
    printed = await router.put("[:serialize to=json value=[/ip address print as-value]]")
    assert printed.startswith('[{".id":"*')
    assert '"address":"192.168.88.1/24","comment":"defconf","disabled":false,"interface":"bridge"' in printed


async def test_elements_are_appended_changed_and_taken_away(router) -> None:
    assert await router.run(':local a ({}); :set ($a->[:len $a]) "x"; :set ($a->[:len $a]) "y"; :put $a') == "x;y\n"
    assert await router.run(':local a {p=1;q={r=2}}; :set ($a->"q"->"r") 3; :put ($a->"q"->"r")') == "3\n"
    assert await router.run(':local a {p=1;q=2}; :set ($a->"p"); :put $a') == "q=2\n"
    assert await router.run(":local a {1;2;3}; :set ($a->0); :put $a") == "2;3\n"


async def test_loops_can_be_left_and_turns_skipped(router) -> None:
    line = ":for i from=1 to=9 do={ :if ($i = 2) do={ :continue }; :if ($i = 4) do={ :break }; :put $i }"
    assert await router.run(line) == "1\n3\n"
    assert await router.run(":foreach i in={1;2;3} do={ :if ($i = 2) do={ :continue }; :put $i }") == "1\n3\n"
    assert (
        await router.run(":local n 0; :while (true) do={ :set n ($n + 1); :if ($n > 3) do={ :break } }; :put $n")
        == "4\n"
    )
    assert await router.run(":foreach a in={1;2} do={ :foreach b in={1;2} do={ :break }; :put $a }") == "1\n2\n"


async def test_functions_take_named_and_unnamed_arguments_and_call_themselves(router) -> None:
    line = ":global f do={ :global f; :if ($1 < 2) do={ :return 1 }; :return ($1 * [$f ($1 - 1)]) }; :put [$f 6]"
    assert await router.run(line) == "720\n"
    assert (
        await router.run(':local g do={ :return "$1-$2-$who-$[:typeof $3]" }; :put [$g a b who=c]') == "a-b-c-nothing\n"
    )
    assert await router.run(':global "my-f" do={ :return 5 }; :put [$"my-f"]') == "5\n"


async def test_globals_stay_between_scripts_and_are_listed(router) -> None:
    await router.run(":global counter 5; :global list {1;a=2}")
    assert await router.run(":global counter; :set counter ($counter + 1); :put $counter") == "6\n"
    assert await router.run("/environment print") == "counter=6\nlist=1;a=2\n"
    assert await router.put('[/system script environment get [find name="counter"] value]') == "6"
    await router.run('/system script environment remove [find name="counter"]')
    assert await router.run(":global counter; :put [:typeof $counter]") == "nothing\n"


async def test_stored_scripts_return_values(router) -> None:
    await router.run('/system script add name=s source={ :put "hi from $[:jobname]"; :return 7; :put never }')
    assert await router.run("{ :local r [/system script run s]; :put $r }") == "hi from s\n7\n"
    assert await router.put("[:len [:jobname]]") == "0"
    await router.run("/system script add name=endless source={ /system script run endless }")
    assert "recursion" in await router.run("/system script run endless")


async def test_code_from_text_runs_and_returns(router) -> None:
    assert await router.run(':local f [:parse ":return (\\$1 + 1)"]; :put [$f 41]') == "42\n"
    assert await router.put('[[:parse ":return 1.1.1.1"]]') == "1.1.1.1"
    assert "bad command name" in await router.put('[:parse "/ip adress print"]')


async def test_lines_are_found_in_what_a_block_prints_and_in_files(router) -> None:
    assert await router.run(":grep script={ :put one; :put two } pattern=tw") == "two\n"
    await router.run('/file add name=a.txt contents="x1\\r\\ny2\\r\\nx3"')
    assert await router.put('[:grep filename=a.txt pattern="^x" as-array]') == "x1;x3"


async def test_only_the_router_itself_answers_a_ping(router) -> None:
    assert re.search(
        r"sent=2 received=2 packet-loss=0%\n\n2\n\Z",
        await router.run(":put [/ping 192.168.88.1 count=2 interval=10ms]"),
    )
    printed = await router.run(":put [/ping 198.51.100.9 count=2 interval=10ms]")
    assert "timeout" in printed
    assert printed.endswith("\n0\n")
    assert "invalid value for argument address" in await router.run("/ping nowhere.example count=1")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://www.example.com/a.rsc", "failure: resolve failed"),
        ("http://198.51.100.9/a", "failure: closing connection: <connection failed> 198.51.100.9:80 (12)"),
        ("https://router.lan:8443/a", "failure: closing connection: <connection failed> router.lan:8443 (12)"),
        ("http://a:b:c/", "invalid value for argument url"),
    ],
)
async def test_nothing_answers_a_fetch(router, url: str, message: str) -> None:
    assert (
        await router.run(f'/tool fetch url="{url}"')
        == f"{message} (/tool/fetch{' (url)' if 'url' in message else ''}; line 1)\n"
    )
    assert await router.run(f':do {{ /tool fetch url="{url}" output=user }} on-error={{ :put caught }}') == "caught\n"


async def test_links_can_be_asked_for(router) -> None:
    assert await router.put('([/interface ethernet monitor ether1 once as-value]->"status")') == "link-ok"
    await router.run("/interface disable ether1")
    assert await router.put('([/interface ethernet monitor ether1 once as-value]->"status")') == "no-link"
    assert await router.run("/interface ethernet monitor ether2 once") == (
        "                  name: ether2\n                status: link-ok\n      auto-negotiation: done\n"
        "                  rate: 1Gbps\n           full-duplex: true\n\n"
    )


async def test_a_function_knows_the_name_by_which_it_was_called(router) -> None:
    assert await router.run(":global hello do={ :put $0 }; $hello") == "$hello\n"


async def test_a_value_that_grows_without_end_is_refused(router) -> None:
    doubled = ':local s "x"; :while (true) do={ :set s ($s . $s) }'
    assert (await router.run(doubled)).startswith("failure: out of memory")
    assert (await router.run(':local s "x"; :while (true) do={ :set s "$s$s" }')).startswith("failure: out of memory")
    assert (await router.run(":local a {1}; :while (true) do={ :set a ($a , $a) }")).startswith(
        "failure: out of memory"
    )

"""What RouterOS refuses, in its words and at its place.."""

from __future__ import annotations

import pytest

from tminus.routeros.language import ScriptSyntaxError, parse, verdict

SYNTAX = "syntax error"
NO_COMMAND = "expected command name"
NO_END = "expected end of command"
NO_BRACE = "missing closing brace"

REFUSED = [
    # where a command must start
    ("Then do this:", NO_COMMAND, 1, 1),
    ("> /ip address print", NO_COMMAND, 1, 1),
    ("<br>", NO_COMMAND, 1, 1),
    ('"name": 1', NO_COMMAND, 1, 1),
    (":PUT 1", NO_COMMAND, 1, 2),
    ("/IP address print", NO_COMMAND, 1, 2),
    ("/ip Address print", NO_COMMAND, 1, 5),
    (":put 1; = 2", NO_COMMAND, 1, 9),
    ("\u2026", NO_COMMAND, 1, 1),
    ("\ufeff:put 1", NO_COMMAND, 1, 1),
    (":put 1\n\n) ", NO_COMMAND, 3, 1),
    # after a menu
    ("/ip/route> print", NO_COMMAND, 1, 10),
    ("user@host", NO_COMMAND, 1, 5),
    ("/ip address # the addresses", NO_COMMAND, 1, 13),
    ("/ip address [find]", NO_COMMAND, 1, 13),
    # after a name that is no command
    ("note: this works", SYNTAX, 1, 5),
    ("10:20:30 started", SYNTAX, 1, 3),
    ("[admin@site] > /ip address print", SYNTAX, 1, 7),
    ("/nosuch/menu print", SYNTAX, 1, 8),
    ("/ip nosuch/menu print", SYNTAX, 1, 11),
    ("else={ :put 1 }", SYNTAX, 1, 5),
    ("let total = 5", SYNTAX, 1, 11),
    ("say what's new", SYNTAX, 1, 9),
    ("say hello(1)", SYNTAX, 1, 10),
    ("say $name/24", SYNTAX, 1, 10),
    ("say {1;2}", SYNTAX, 1, 5),
    ('say text="hi $name"', SYNTAX, 1, 9),
    # after a command that exists
    (":put 1 # comment", NO_END, 1, 8),
    (":put 1)", NO_END, 1, 7),
    (':put "a""b"', NO_END, 1, 9),
    (":put $a-b", NO_END, 1, 8),
    (":put a b", NO_END, 1, 8),
    (':put "a" . "b"', NO_END, 1, 10),
    (":local my_name 1", NO_END, 1, 10),
    (":local x=5", NO_END, 1, 9),
    (":local my-x=5", NO_END, 1, 10),
    (":put a=2", NO_END, 1, 7),
    (":put 1 a=2", NO_END, 1, 8),
    ("/ip address set zzz=5", NO_END, 1, 20),
    ("/ip address set 0 zzz=5", NO_END, 1, 19),
    ("/ip/address/print bogus=1", NO_END, 1, 19),
    ("/ip address print limit=3", NO_END, 1, 19),
    ("/ip address print detail=yes", NO_END, 1, 25),
    ("/ip dns set servers= allow-remote-requests=yes", NO_END, 1, 43),
    ("/ip address add interface=ether1 address=1.1.1.1/24 interface=ether2", NO_END, 1, 53),
    ("/system reboot now", NO_END, 1, 16),
    ("{ :put 1 } :put 2", NO_END, 1, 12),
    ("/routing bgp connection set 0 .as=65000", NO_END, 1, 31),  # of which family?
    # values
    ("/system identity set name='site'", SYNTAX, 1, 27),
    (":local {1;2}", SYNTAX, 1, 8),
    (":put $ 1", SYNTAX, 1, 7),
    (':put "cost: 5$"', SYNTAX, 1, 15),
    (':put "\\y"', SYNTAX, 1, 8),
    (':put "\\4f"', SYNTAX, 1, 9),  # the byte that does not fit
    (':put "\\4"', SYNTAX, 1, 9),
    (":put $(1 + 2)", SYNTAX, 1, 7),
    (":put (1 == 2)", SYNTAX, 1, 10),
    (":put (1,)", SYNTAX, 1, 10),
    (":put ()", SYNTAX, 1, 8),
    (":put (1 &gt; 2)", SYNTAX, 1, 12),
    (":put {1;2,}", SYNTAX, 1, 12),
    (":if ($a = 1 &&\n  $b = 2) do={ :put 1 }", SYNTAX, 1, 15),
    (":put ({1};{2})", SYNTAX, 1, 10),
    ("/ip route remove [find where]", "missing value for where", 1, 29),
    # variables
    (":set a 1", SYNTAX, 1, 6),
    ("{ :local a 1 }; :set a 2", SYNTAX, 1, 22),
    (":global a; :global f do={ :set a 2 }", SYNTAX, 1, 32),
    (":put [:local a 1]; :set a 2", SYNTAX, 1, 25),
    (":foreach i in={1} do={}; :set i 2", SYNTAX, 1, 31),
    (':local "a,b" 1; :set a 2', SYNTAX, 1, 22),
    (":put $set-dns", NO_END, 1, 10),
    (":put ${x}", SYNTAX, 1, 7),
    # paths
    ("/ip //address print", NO_COMMAND, 1, 5),
    ("/ip /address print", NO_COMMAND, 1, 5),
    ("/ip/address//print", NO_COMMAND, 1, 13),
    ("//", NO_COMMAND, 1, 2),
    ("::put 1", NO_COMMAND, 1, 2),
    ("/ip::address print", NO_COMMAND, 1, 4),
    ("/ip/address/print ?", NO_END, 1, 19),
    ("/nonsense/command", SYNTAX, 1, 10),
    ("/ip address comment=x", NO_END, 1, 20),
    ("/import x.rsc verbose=yes dry-run=yes", NO_END, 1, 34),
    # a backslash that joins nothing
    (":put a\\b", NO_END, 1, 7),
    ("say a\\b", SYNTAX, 1, 6),
    # brackets
    ("{\n  :put 1\n", NO_BRACE, 3, 1),
    (":put [:len 1", NO_BRACE, 1, 13),
    (":if (true) do={ :put [:len 1 }", NO_BRACE, 1, 30),
    (":local", "expected name value", 1, 1),
    # in loops only
    (":foreach i in={1} do={ :break 1 }", NO_END, 1, 31),
    (":foreach i in={1} do={ :break }; :break 1 (", SYNTAX, 1, 44),  # outside of one it is a name that nobody knows
    # columns count bytes, and a tab goes to the next multiple of eight
    (':put "\u00e4\u00f6" x', NO_END, 1, 13),
    ("\t\t:put 1 2", NO_END, 1, 23),
]


@pytest.mark.parametrize(("source", "message", "line", "column"), REFUSED)
def test_the_router_refuses_with_message_line_and_column(source: str, message: str, line: int, column: int) -> None:
    got = verdict(source.encode())
    assert (got.valid, got.message, got.line, got.column) == (False, message, line, column)


ACCEPTED = [
    "",
    "\n\n# only a comment",
    "   \t",
    ":",
    ":put 1;;; :put 2;",
    ":put 1\r\n:put 2\r\n",
    ":put \\\n  1",
    ":put \\\n# a comment after a joined line\n1",
    "/ip address",
    "/ip/address/\nprint",
    "/ip/address/print",
    "/ip address print detail where interface=ether1 and !disabled",
    "/ip addr pri",  # abbreviations
    "/ip address\nadd address=10.0.0.1/24 interface=ether1\n.. route add gateway=10.0.0.2",
    "/ip { address { print } ; route print }",
    ":log info message=$x",
    "frobnicate everything quickly key=value $x (1 + 2) [:len 1]",
    "... and so on",
    "10.0.0.1",
    "more",
    "/interface wireless set [find default-name=wlan1] ssid=x",
    "{ :put 1 }",
    "{ :put 1 }\n}",  # a brace too many is skipped
    "[:len 1]",
    '[[:parse ":put $1"] 8 a=(1 + 2)]',
    ":local a []",
    ':put [/log find ($topics ~"a" || $topics ~"b"); ]',
    ":for i from=0 to=( 4 * ( $n - 1 ) ) step=4 do={}",
    ":put [:pick [:tostr $a] (($b >> $c) & 0xF) ((($b >> $c) & 0xF) + 1)]",
    "if ($a = null || $b > 90) do={ log info x }",
    "(1 + 2)",
    "$f 1 a=2 {1;2} [:len 1]",
    '($table->"f") 1',
    ':put ("a" . $b . [:len $c])',
    ":put (1.2.3.4 in 1.2.3.0/24)",
    ":put (>[:put 1])",
    ":put ($f <%% {1})",
    ":put (any $x)",
    ":put ($a $b)",
    ":put (!$a || -1 < ~5)",
    ':put "$a $(1 + 2) $[:len 1] \\$5 \\5C \\_ \\?"',
    ':put "two\nlines"',
    ':put "joined \\\n   line"',
    ':put $"a name"',
    ':global "a-name" 1; :set "a-name" 2',
    ":local a; :set a 1",
    ":local $a; :set a 1",
    ":set $a 1",
    ":local a; { :set a 1 }",
    ":local a; :if (true) do={ :set a 1 } else={ :set a 2 }",
    ":local f do={ :local a; :set a $1; :return $a }",
    ":for i from=1 to=3 do={ :set i 5 }",
    ":foreach k,v in={a=1} do={ :set v 2 }",
    ":onerror e in={ :error x } do={ :set e 1 }",
    ":foreach i in={1} do={ :if ($i = 1) do={ break } else={ :continue } }",
    ":do { :put 1 } on-error={ :put 2 }",
    ":do { :put 1 } while=(false)",
    ":while (false) do={}",
    ":retry command={ :put 1 } delay=1 max=2 on-error={}",
    ":execute script={ :put 1 } file=x",
    ':parse ":put 1"',
    "/system script add name=x source={ :put 1; /ip address print }",
    '/system scheduler add name=x on-event=":put 1" interval=1d',
    "/ip address set [find interface=ether1] address=10.0.0.1/24",
    '/ip address set 0,1 comment="" !network',
    '/ip firewall nat print count-only where chain~"^src" or (action=accept and comment="")',
    "/ip address print where address in 10.0.0.0/8",
    ":put {1;\n 2;\n}",
    ':put {a=1; b={2;3}; "c d"=[:len 1]}',
    ":put {1, -2, 3}",
    "/import x.rsc verbose=yes dry-run",
    "/tool fetch url=x as-value output=user",
    "/interface monitor-traffic ether1 once do={ :put 1 }",
    # what is missing shows when the command runs
    ":return",
    "/ip address remove",
    "/ip address add address=10.0.0.1/24",
    "/system backup load name=x",
    # variables
    "[:local a 1]; :set a 2",
    "{ [:local a 1]; :set a 2 }",
    ":onerror e in={ :put 1 } do={ :put $e }; :set e 2",
    "/system script add name=x source={ :set whatever 1 }",
    # joined lines
    ":put \\\n\n  \t\n1",
    ":put \\\n\n# a comment\n# and one more\n1",
    ":put \\ 1",
    ":put (1, \\ \t\n 2)",
]


@pytest.mark.parametrize("source", ACCEPTED)
def test_the_router_reads(source: str) -> None:
    got = verdict(source.encode())
    assert got.valid, f"{got.message} (line {got.line} column {got.column})"


def test_the_error_reads_as_the_router_prints_it() -> None:
    with pytest.raises(ScriptSyntaxError) as caught:
        parse(b":put 1\n:put (")
    assert str(caught.value) == "syntax error (line 2 column 7)"


@pytest.mark.parametrize(
    "source",
    [
        "/container/config set tmpdir=x",
        '/container config\nset tmpdir="$x"',
        '/interface wifi-qcom print where ssid~"x"',
        "/ip address add address=1.1.1.1/24 interface=ether1 novelty=5",
        '/container { stop [find where tag~"x"] }',
    ],
)
def test_a_tolerant_reading_takes_names_that_only_the_device_may_know(source: str) -> None:
    strict = verdict(source.encode())
    assert strict.valid or strict.by_name
    assert verdict(source.encode(), tolerant=True).valid


@pytest.mark.parametrize("source", [":put (", "Then", ":put 1 2", "/container/config set tmpdir='x'"])
def test_a_tolerant_reading_still_refuses_bad_syntax(source: str) -> None:
    assert not verdict(source.encode(), tolerant=True).valid


@pytest.mark.parametrize(
    ("source", "by_name"), [("/nosuch/menu", True), (":put 1 a=2", True), (":put (1", False), ("X", False)]
)
def test_an_error_says_whether_an_unknown_name_may_be_its_cause(source: str, by_name: bool) -> None:
    assert verdict(source.encode()).by_name is by_name


def test_an_empty_line_behind_a_comment_in_a_joined_line_ends_the_command() -> None:
    assert parse(b":put \\\n# comment\n1").unknown == ()
    assert [name.name for name in parse(b":put \\\n# comment\n\n1").unknown] == ["1"]


def test_unknown_commands_are_findings_with_their_place_and_menu() -> None:
    unknown = parse(b"/ip address\n  nonsense 1\n:put [/system nothing]\n").unknown
    assert [(name.name, name.menu, name.at.line, name.at.column) for name in unknown] == [
        ("nonsense", ("ip", "address"), 2, 3),
        ("nothing", ("system",), 3, 15),
    ]
    assert unknown[0].message == "bad command name nonsense (line 2 column 3)"

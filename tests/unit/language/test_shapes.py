"""What a valid script is read as."""

from __future__ import annotations

import pytest

from tminus.routeros.language import Command, parse, walk
from tminus.routeros.language.ast import (
    Array,
    Binary,
    Block,
    Group,
    Joined,
    Literal,
    Program,
    Property,
    Scope,
    String,
    Substitution,
    Unary,
    Value,
    Variable,
)
from tminus.routeros.language.names import base


def only(source: str) -> Command:
    (statement,) = parse(source.encode()).statements
    assert isinstance(statement, Command)
    return statement


def show(value: Value | None) -> str:
    """A value as fully bracketed text."""
    match value:
        case None:
            return "-"
        case Literal(text=text):
            return text
        case Variable(name=name):
            return f"${name}"
        case Property(name=name):
            return f"@{name}"
        case String():
            return '"' + "".join(part if isinstance(part, str) else show(part) for part in value.parts) + '"'
        case Joined():
            return " ".join(show(part) for part in value.parts)
        case Substitution():
            return "[" + ";".join(show_command(one) for one in value.statements) + "]"
        case Block():
            return "{" + ";".join(show_command(one) for one in value.statements) + "}"
        case Array():
            items = (
                show(item.value) if item.key is None else f"{show(item.key)}:{show(item.value)}" for item in value.items
            )
            return "<" + ";".join(items) + ">"
        case Unary():
            return f"{value.op}{show(value.operand)}"
        case Binary():
            return f"({show(value.left)} {value.op} {show(value.right)})"
        case Group():
            return show(value.inner)


def show_command(statement: Command | Scope) -> str:
    if isinstance(statement, Scope):
        return "/".join(statement.menu) + show(statement.block)
    head = show(statement.callee) if statement.callee else "/".join((*statement.menu, statement.name or ""))
    args = [show(arg.value) if arg.name is None else f"{arg.name}={show(arg.value)}" for arg in statement.args]
    return " ".join([head, *args, *([f"where {show(statement.where)}"] if statement.where else [])])


def read(program: Program) -> list[str]:
    return [show_command(statement) for statement in program.statements]


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ("1 + 2 * 3", "(1 + (2 * 3))"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("(1 + 2) * 3", "((1 + 2) * 3)"),
        ('"a" . 1 + 2', '("a" . (1 + 2))'),
        ("$a = 1 && $b > 2 || !$c", "((($a = 1) && ($b > 2)) || !$c)"),
        ("$a = 1 and $b = 2 or $c", "((($a = 1) && ($b = 2)) || $c)"),
        ('$a->"b"->0 + 1', '((($a -> "b") -> 0) + 1)'),
        ('!$a->"b"', '(!$a -> "b")'),
        ("$f <%% $g <%% {1}", "($f <%% ($g <%% <1>))"),
        ("1 << 2 << 3", "(1 << (2 << 3))"),
        ("1 & 2 | 3 ^ 4", "((1 & 2) | (3 ^ 4))"),
        ("1 + 2 & 3", "((1 + 2) & 3)"),
        ("1 = 2 . 3", "(1 = (2 . 3))"),
        ("1 <> 2", "(1 < >2)"),
        ("1 // 2", "(1 / /) 2"),
        ("1 not 2", "1 not 2"),
        ("1 in 2 = 3", "(1 in (2 = 3))"),
        ("10.0.0.1 in 10.0.0.0/8", "(10.0.0.1 in 10.0.0.0/8)"),
        ("8/2", "(8 / 2)"),
        ("$a/2", "($a / 2)"),
        ("1,2,3", "((1 , 2) , 3)"),
        ("1 <= 2, $a = 1 || $b", "((1 <= 2) , (($a = 1) || $b))"),
        ("a b = 1, 2", "(a (b = 1) , 2)"),
        ("$a.b", "($a . b)"),
        ("$a-b", "($a - b)"),
        ("- 5", "-5"),
        ("$a $b $c", "$a $b $c"),
        ("1d2h = 26:00:00", "(1d2h = 26:00:00)"),
        ("2001:db8::1 in 2001:db8::/32", "(2001:db8::1 in 2001:db8::/32)"),
    ],
)
def test_expressions_group_as_observed_on_routers(source: str, shape: str) -> None:
    assert show(only(f":put ({source})").args[0].value) == shape


@pytest.mark.parametrize(
    ("source", "shapes"),
    [
        ("/ip address add address=1.1.1.1/24 interface=e", ["ip/address/add address=1.1.1.1/24 interface=e"]),
        ("/ip/address\nprint\n/\n:put 1", ["ip/address/", "ip/address/print", "/", "put 1"]),
        ("/ip address remove [find]", ["ip/address/remove [ip/address/find]"]),
        (
            "/ip address\n:foreach i in=[find] do={ get $i }",
            ["ip/address/", "foreach i in=[ip/address/find] do={ip/address/get $i}"],
        ),
        ("/ip route { print }\nprint", ["ip/route{ip/route/print}", "ip/route/print"]),
        ("/ip address\n.. route print", ["ip/address/", "ip/route/print"]),
        ("/ip address find interface=e !dynamic", ["ip/address/find where ((@interface = e) && !@dynamic)"]),
        ('/ip address print detail where a~"x" or (b=1)', ['ip/address/print detail where ((@a ~ "x") || (@b = 1))']),
        ('/ip address find address=($a . "/24")', ['ip/address/find where (@address = ($a . "/24"))']),
        ("$f 1 a=2", ["$f 1 a=2"]),
        (":put {1;a=2;{3}}", ["put <1;a:2;<3>>"]),
        ("$f {/ip address}", ["$f {ip/address/}"]),
        (":if (1) do {put 1} else {put 2}", ["if 1 do={put 1} else={put 2}"]),
        (
            "/system logging action set remote remote=10.0.0.1",
            ["system/logging/action/set remote remote=10.0.0.1"],
        ),
        ("/user set admin group full", ["user/set admin group=full"]),
        (":execute script={:put 1}", ["execute script={put 1}"]),
        (":log info x", ["log/info x"]),
        ("/ip dns set servers=", ["ip/dns/set servers=-"]),
        (
            "/routing bgp connection set 0 remote.address=10.0.0.1 .as=65000 name=x local.role=ebgp .port=179",
            [
                "routing/bgp/connection/set 0 remote.address=10.0.0.1 remote.as=65000 name=x local.role=ebgp local.port=179"
            ],
        ),
    ],
)
def test_commands_know_their_menu_and_arguments(source: str, shapes: list[str]) -> None:
    assert [shape.lstrip("/") for shape in read(parse(source.encode()))] == [shape.lstrip("/") for shape in shapes]


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("/ip address add address=10.0.0.1/24", ("interface",)),
        ("/ip address add", ("address", "interface")),
        ("/ip address add address=10.0.0.1/24 interface=e", ()),
        ("/ip address remove", ("numbers",)),
        ("/ip address remove 0", ()),
        ("/ip address get 0", ()),
        (":return", ("value",)),
        (":return 1", ()),
        (":if (1)", ("do",)),
        (":execute", ("script",)),
        ("/ip address find where interface=e", ()),
        ("/nosuch thing", ()),
    ],
)
def test_commands_know_what_they_lack_to_run(source: str, missing: tuple[str, ...]) -> None:
    assert only(source).missing == missing


def test_strings_hold_text_variables_expressions_and_commands() -> None:
    value = only(r':put "a\"\\\n\r\t\a\b\f\v\$\_\?\41 $x-y $(1 + 2) $[:len 1]"').args[0].value
    assert isinstance(value, String)
    assert value.plain is None
    texts = [part for part in value.parts if isinstance(part, str)]
    assert texts == ['a"\\\n\r\t\a\b\f\v$ ?A ', "-y ", " "]
    assert [show(part) for part in value.parts if not isinstance(part, str)] == ["$x", "(1 + 2)", "[len 1]"]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (rb'"\C3\A4"', "\u00e4"),  # a character given as two escaped bytes
        ('"\u00e4"'.encode(), "\u00e4"),
        (b'"\xff"', "\udcff"),  # not UTF-8: survives as it was
        (b'"\\FF"', "\udcff"),
        (b'"a\\\n   b"', "ab"),
        (b'""', ""),
    ],
)
def test_string_bytes_are_kept(source: bytes, text: str) -> None:
    (command,) = parse(b":put " + source).statements
    assert isinstance(command, Command)
    value = command.args[0].value
    assert isinstance(value, String)
    assert value.plain == text


def test_a_block_keeps_its_source_text() -> None:
    value = only('/system script add name=x source={ :put "hi"\n}').args[1].value
    assert isinstance(value, Block)
    assert value.text == ' :put "hi"\n'


def test_positions_are_offsets_lines_and_columns() -> None:
    program = parse('# \u00e4\n/ip address print; :put "\u00e4" \n'.encode())
    commands = list(walk(program))
    assert [tuple(command.at) for command in commands] == [(5, 2, 1), (24, 2, 20)]
    assert [word.at.column for word in commands[0].words] == [2, 5, 13]


def test_walk_yields_every_command_in_source_order() -> None:
    source = b"""
        :if ([:len $a] > 0) do={ :put "x $[/ip address find where address=[:pick $b 0]]" }
        /ip { route { print } }
        $f [:typeof 1] {[:tostr 2]}
    """
    names = [command.name or "call" for command in walk(parse(source))]
    assert names == ["if", "len", "put", "find", "pick", "print", "call", "typeof", "tostr"]


def test_the_table_of_names_knows_menus_commands_and_parameters() -> None:
    address = base().at(("ip", "address"))
    assert address is not None
    assert address.commands["add"].required == ("address", "interface")
    assert "disabled" in address.commands["add"].values
    assert "detail" in address.commands["print"].flags
    assert base().at(("container",)) is None
    assert base().find("inter") == ("interface", base().menus["interface"])
    assert base().find("in") == ("interface", base().menus["interface"])
    assert base().find("i") is None

"""Arrays, groups and the braces of arguments, as routers were observed to read them (7.23, ``:parse``)."""

from __future__ import annotations

import pytest

from tminus.routeros.language import verdict
from tminus.routeros.language.names import base

SYNTAX = "syntax error"


@pytest.mark.parametrize(
    "value",
    [
        "{1;2}",
        "{1,2}",
        "(1,2)",
        "( 1 , 2 )",
        "{1;2;}",
        "{{1;2};}",
        "{(1)}",
        "{{}}",
        "{1;{}}",
        "({})",
        "(1<=2,2)",
        "(a=1,b=2)",
        "((a)=1,2)",
        "([:len 1]=1,2)",
        "({1;2}=1,2)",
        "{a=1;2}",
        "{a=}",
        "{ a= }",
        '{"a b"=}',
        '{"a\\"b"=1}',
        "{.id=1}",
        "{.id =1}",
        "{-.1=}",
        "{--=1}",
        "{/a-b=1}",
        "{a/b=1}",
        "{0x10=1}",
        "{:a=1}",
        "{_a=1}",
        "{a:b=1}",
        "{a,b=1}",
        "{a b=1}",
        "{(a)b=1}",
        "{a!=1}",
        "{~a=1}",
        "{$a-b=1}",
        "{$a=1=2}",
        "{00:11:22:33:44:55}",
        "{1;\n2;\n\n3}",
        "{\n a=1\n b=2\n}",
        '{"a" .\n "b"}',
    ],
)
def test_values_that_the_router_reads(value: str) -> None:
    got = verdict(f":local z {value}".encode())
    assert got.valid, f"{got.message} (line {got.line} column {got.column})"


@pytest.mark.parametrize(
    ("value", "column"),
    [
        # nothing where a value should be: behind the closing bracket, else where the value should be
        ("{}", 12),
        ("()", 12),
        ("{()}", 13),
        ("{a=()}", 15),
        ("{()=1}", 13),
        ("(1,)", 14),
        ("{2,}", 14),
        ("{1;2,}", 16),
        ("{(1,2),}", 18),
        ("((1,))", 15),
        ("(1,(2,))", 17),
        ("(a=)", 14),
        ("{_a=}", 15),
        ("{.id =}", 17),
        ("{$a=}", 15),
        ("{1+1=}", 16),
        ('{"a b" =}', 19),
        ("{[:len 1]=}", 21),
        ("{{1;2}=}", 18),
        ("(a=,2)", 13),
        ("(,)", 11),
        ("(=1,2)", 11),
        ("(1,=2)", 13),
        ("{ =1 }", 12),
        ("{;}", 11),
        ("{;1}", 11),
        ("{1;;2}", 13),
        # no operators or operands
        ("{+1=1}", 11),
        ("{*1}", 11),
        ("{a@b=1}", 12),
        ("{a#b=1}", 12),
        ("{1;#c}", 13),
        ("(1;2)", 12),
    ],
)
def test_values_that_the_router_refuses(value: str, column: int) -> None:
    got = verdict(f":local z {value}".encode())
    assert (got.message, got.column) == (SYNTAX, column)


def test_an_array_that_is_not_closed_is_refused_at_the_end() -> None:
    got = verdict(b":local z {1;2")
    assert (got.message, got.column) == ("missing closing brace", 14)


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("/ip/route/add comment={1;2}", 23),
        ("/ip/route/add comment={:put 1}", 23),
        ("/ip/dns/set servers={1.1.1.1;8.8.8.8}", 21),
        ("{/ip/route/add comment={1;2}}", 24),
        (":log info message={1;2}", 19),
        (":delay {1;2}", 8),
        (":resolve {1;2}", 10),
        (":if condition={1;2} do={}", 15),
        (":execute {:put 1} file={1;2}", 24),
        (":local name={1;2}", 13),
        ("/ip/route/print where comment={1;2}", 31),
        ("/ip/route/print where (comment={1;2})", 32),
    ],
)
def test_braces_where_no_array_can_stand_are_refused_where_they_begin(source: str, column: int) -> None:
    got = verdict(source.encode())
    assert (got.message, got.column) == (SYNTAX, column)


@pytest.mark.parametrize(
    "source",
    [
        "/ip/route/add comment=({1;2})",
        "/ip/route/add comment=(1,{2;3})",
        "/ip/route/add comment=[:tostr {1;2}]",
        ":foreach i in={a=1;b=2} do={:put $i}",
        ":for i from={1} to=2 do={}",
        ":onerror e in={:put 1} do={:put $e}",
        "/system/script/add name=x source={1;2}",
        "/system/scheduler/add name=x on-event={:put 1}",
        "/interface vrrp add name=x interface=e on-master={ :put 1 } on-backup={ :put 2 }",
        "/ip dhcp-server set 0 lease-script={ :put $bound }",
        ":serialize to=json {1;2}",
        "$f {1;2} a={b=1}",
        "$f do={ :put 1; /ip address print }",
        ":do { :put $a } a={1;2} b={ :put 1 }",  # what else it is given is for its code
    ],
)
def test_braces_where_they_mean_something_are_read(source: str) -> None:
    assert verdict(source.encode()).valid


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("/ip/firewall/filter/add chain=input action=accept disabled=2.2", 60),
        ("/ip address set 0 disabled=true", 28),
        ('/ip address set 0 disabled="false"', 28),
        ("/ip dns set allow-remote-requests=1", 35),
    ],
)
def test_a_parameter_that_is_yes_or_no_takes_nothing_else(source: str, column: int) -> None:
    got = verdict(source.encode())
    assert (got.message, got.column) == (SYNTAX, column)


@pytest.mark.parametrize("value", ["yes", "no", '"yes"', "y", "$x", "(1 = 1)", "[:tobool 1]", '"$x"', ""])
def test_a_parameter_that_is_yes_or_no_takes_these_or_what_is_known_later(value: str) -> None:
    address = base().at(("ip", "address"))
    assert address is not None
    assert "disabled" in address.commands["set"].switches
    assert verdict(f"/ip address set 0 disabled={value}".encode()).valid


@pytest.mark.parametrize(
    "source",
    [
        ":if (1=1) do={:put 1} else {:put 2}",
        ":if (1=1) do {:put 1} else {:put 2}",
        ":do {:put 1} on-error {:put 2}",
        "/ip address add address 10.0.0.1/24 interface ether1",
        "/ip address set 0 comm x",  # shortened
    ],
)
def test_a_blank_does_for_the_equals_sign_behind_the_name_of_a_parameter(source: str) -> None:
    assert verdict(source.encode()).valid


@pytest.mark.parametrize(
    ("source", "column"),
    [
        (":if (1=1) do={:put 1} elsy {:put 2}", 23),
        ("/ip/address/add interface=ether1 add gateway=192.168.88.1", 45),  # "add" is the beginning of "address"
        ("/ip/address/add interface=ether1 a", 34),
    ],
)
def test_what_no_parameter_can_be_is_the_end_of_the_command(source: str, column: int) -> None:
    got = verdict(source.encode())
    assert (got.message, got.column) == ("expected end of command", column)

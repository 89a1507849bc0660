"""Constructs that people publish: each is read whole, and nothing in it is an unknown name."""

from __future__ import annotations

import pytest

from tminus.routeros.language import parse

FUNCTIONS = [
    ":global f do={ :return ($1 + $2) }; :put [$f 1 2]",
    ':global f do={ :put "hello $name" }\n$f name="x"',
    ":local f do={ :local x $1; :if ($x > 1) do={ :return 1 }; :return 0 }\n:put [$f 3]",
    ':local f [:parse ":put 1"]; $f',
    ":local f [:parse [/system script get x source]]; $f",
    ":global a 1; :global f do={ :global a; :put $a }",
]
LOOPS = [
    ':foreach k,v in={a=1;b=2} do={ :put "$k=$v" }',
    ":foreach i in=(1,2,3) do={ :put $i }",
    ":foreach i in 1,2,3 do={ :put $i }",
    ":local i 0\ndo {\n :set i ($i + 1)\n} while=($i < 5)",
    ":global x 0; :while ($x<3) do={ :set x ($x+1) }",
    ":for i from=1 to=10 step=2 do={ :put $i }",
    ':foreach i in=[/interface find where (name="a" || name="b") && running] do={ :put $i }',
    ':foreach i in=[/interface find where name="a" and !disabled] do={ :put $i }',
    "/ip address\n:foreach a in=[find] do={\n  :local x [get $a address]\n  :put $x\n}",
]
BRANCHES = [
    ":if (1=1) do={\n  :put 1\n} else={\n  :put 2\n}",
    ":if (true) do={ :put 1 } \\\nelse={ :put 2 }",
    ":if (true) do={ # why\n :put 1\n # more\n}",
    "if (1=1) do={put 1}",
    "do { put 1 } on-error { put 2 }",
    ':do { /ip address add address=1.1.1.1/24 interface=e } on-error={ :log warning "x" }',
    ':onerror e in={ :error "x" } do={ :put $e }',
    ":retry command={ :error x } delay=1 max=2 on-error={ :put no }",
    ':if (!([:len $x] > 0) or ($b = "x")) do={ :put 1 }',
    ':if ([/ip address find address="1.1.1.1/24"] = "") do={ :put x }',
]
VALUES = [
    ":local a {{1;2};{3;4}}; :put ($a->0->1)",
    ':local a {a={b=1;c=2};d=3}\n:put ($a->"a"->"b")',
    ':local arr {\n  "a"="x";\n  "b"="y"\n}',
    ':local a [:toarray ""]\n:set ($a->[:len $a]) "x"',
    ':global arr ({}); :set ($arr->"x"->"y") 1',
    ':put ([/ip address print as-value]->0->"address")',
    ':put [:pick [/system resource get version] 0 [:find [/system resource get version] " "]]',
    ':local "var name" 5; :put $"var name"',
    ':put "\\$x"',
    ':put "$[:len "abc"] $(1+2) $a$b-$c"',
    ':put ("abc" ~ "^a.*c\\$")',
    ":put (192.168.1.5 in 192.168.1.0/24)",
    ":put (2001:db8::1 in 2001:db8::/32)",
    ":put (1w2d + 03:04:05)",
    ":put (!true || -5 + -3 < 1 << 2)",
    ":put (~255.255.255.0)",
    ":put [:typeof *1A]",
]
MENUS = [
    "/ip firewall/filter/add chain=input action=accept",
    "/ip firewall filter\nadd chain=input action=accept\nadd action=drop chain=input",
    "/ip address\n.. route\nprint",
    "/ip address .. route print",
    "/ip/address { print }",
    "/ip address remove *1A",
    ":put [/ip address get *1A address]",
    "/ip address add \\\n    address=1.1.1.1/24 \\\n    interface=ether1",
    '/ip address add address=1.1.1.1/24 interface=ether1 comment="two\nlines"',
    "/ip route add gateway=192.168.1.1%ether1",
    "/ipv6 route add dst-address=::/0 gateway=fe80::1%ether1",
    "/ip firewall filter add chain=input src-address-list=!trusted tcp-flags=syn,!ack protocol=tcp action=drop",
    "/ip firewall filter add chain=input time=8h-17h,mon,tue",
    '/ip firewall layer7-protocol add name=x regexp="^.+(a|b).*\\$"',
    "/ip firewall filter print count-only where chain=input",
    '/interface wireguard peers add interface=w public-key="abc=" allowed-address=0.0.0.0/0,::/0',
    "/interface wifi set 0 configuration.mode=ap .ssid=x",
    "/interface ethernet set [ find default-name=ether1 ] name=wan",
    "/system scheduler add name=a start-date=jan/01/1970 start-time=startup interval=0 on-event={/system reboot}",
    '/system scheduler add name=x on-event=":local a 1; :put \\$a"',
    '/system script add name=x source={ :put "a" } policy=read,write',
    "/system clock set date=2024-01-01 time=10:00:00",
]
LINES = [
    ':put 1\r\n:put "a\\\r\n  b"\r\n/ip address add \\\r\n  address=1.1.1.1/24 \\\r\n  interface=e\r\n',
    ":if (true) do={\r\n  :put 1\r\n} else={\r\n  :put 2\r\n}\r\n",
    "# first\n   # indented\n:put 1; # behind a semicolon\n;;\n",
    ':put "a\\\n    b"',
    "{ :local a 1; { :local b 2; :put ($a + $b) } }",
]


@pytest.mark.parametrize("source", [*FUNCTIONS, *LOOPS, *BRANCHES, *VALUES, *MENUS, *LINES])
def test_a_published_construct_is_read_and_known(source: str) -> None:
    assert parse(source.encode()).unknown == ()

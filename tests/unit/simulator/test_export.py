"""The form of an export: header, order, quoting, wrapping; and that reading it gives the same configuration."""

from __future__ import annotations

import re

from hypothesis import given, settings, strategies

from tminus.routeros.language import ast, parse
from tminus.simulator.config.defaults import base
from tminus.simulator.config.quoting import quote
from tminus.simulator.contents.export import WIDTH, wrap


async def test_header_of_version_7(router) -> None:
    lines = router.export().splitlines()
    assert re.fullmatch(r"# \d{4}-\d\d-\d\d \d\d:\d\d:\d\d by RouterOS 7\.24\.4", lines[0])
    assert lines[1:5] == ["# software id = ABCD-EFGH", "#", "# model = RB750Gr3", "# serial number = HC0000000AA"]


async def test_header_of_version_6(make_router) -> None:
    first = make_router("6.49.10").export().splitlines()[0]
    assert re.fullmatch(r"# [a-z]{3}/\d\d/\d{4} \d\d:\d\d:\d\d by RouterOS 6\.49\.10", first)


async def test_a_virtual_router_has_neither_model_nor_serial(make_router) -> None:
    assert "model" not in make_router(chr=True).export()


async def test_lines_are_wrapped_with_a_backslash_and_blanks(router) -> None:
    await router.run(f'/ip firewall filter add chain=input comment="{"long comment " * 20}" protocol=tcp dst-port=22')
    lines = router.export().splitlines()
    assert max(len(line) for line in lines) <= WIDTH
    joined = re.sub(r"\\\n\s+", "", router.export())
    assert f'comment="{"long comment " * 20}"' in joined


async def test_terse_has_one_line_a_command_with_its_whole_path(router) -> None:
    printed = await router.run("/export terse")
    body = [line for line in printed.splitlines() if not line.startswith("#")]
    assert all(line.startswith("/") and not line.endswith("\\") for line in body)
    assert "/ip address add address=192.168.88.1/24 comment=defconf interface=bridge network=192.168.88.0" in body


async def test_export_of_one_menu(router) -> None:
    printed = await router.run("/ip address export")
    assert "\n/ip address\n" in printed
    assert "/ip firewall" not in printed


async def test_export_into_a_file(router) -> None:
    assert await router.run("/export file=backup") == ""
    assert router.router.files.get("backup.rsc").content.startswith(b"# ")


async def test_what_an_export_says_gives_the_same_configuration_on_an_empty_router(router, make_router) -> None:
    await router.run('/ip firewall address-list add list="a b" address=10.1.1.1 comment="q\\"\\$\\\\ \\C3\\A9"')
    exported = router.body()
    other = make_router()
    await other.run(
        "/ip firewall filter remove [find]; /ip firewall nat remove [find]; /ip address remove [find];"
        "/interface list member remove [find]; /interface bridge port remove [find]; /ip dhcp-server remove [find];"
        "/ip dhcp-server network remove [find]; /ip pool remove [find]; /interface bridge remove [find];"
        "/ip dns static remove [find]; /interface list remove [find where !builtin]"
    )
    assert other.body() == ""
    other.router.files.put("x.rsc", exported.encode())
    assert await other.run("/import file-name=x.rsc") == "Script file loaded and executed successfully\n"
    assert other.body() == exported


def test_padding_reaches_the_size_that_was_asked_for(make_router) -> None:
    router = make_router()
    router.router.config._base = base(50)
    size = len(router.export().replace("\n", "\r\n"))
    assert abs(size - 50 * 1024) < 1024


@given(strategies.text(alphabet=strategies.characters(codec="utf-8", exclude_characters="\0"), max_size=300))
@settings(max_examples=150, deadline=None)
def test_quoted_and_wrapped_text_reads_back_as_it_was(text: str) -> None:
    line = "/ip address\n" + wrap(["add", "address=10.0.0.1/24", f"comment={quote(text)}", "interface=bridge"])
    assert all(len(part) <= WIDTH for part in line.splitlines())
    command = parse(line.encode("utf-8", "surrogateescape")).statements[1]
    assert isinstance(command, ast.Command)
    value = next(arg.value for arg in command.args if arg.name == "comment")
    read = value.text if isinstance(value, ast.Literal) else value.plain
    assert read == text

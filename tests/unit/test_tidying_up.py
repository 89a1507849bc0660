"""Cleanup once a script is decided: over the same connection, and once more over another one where that was lost."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast
from uuid import UUID

import pytest

from tminus.device.connection import Connection
from tminus.device.output import Ended, ExecResult
from tminus.errors import ConnectionLost, LoginRefused
from tminus.routeros.commands import Nonce
from tminus.routeros.facts import Version
from tminus.services import aftermath
from tminus.services.aftermath import Tidied
from tminus.services.contact import Contact
from tminus.services.run import Run
from tminus.services.run_settings import RunSettings

NONCE = Nonce.of_run("1123456789abcdef", UUID(int=41))
HEADER = "# 2026-01-02 03:04:05 by RouterOS 7.20.8"
WHOLE = [f"{NONCE.marker('LEFT')}-0", HEADER, "/ip dns", "set servers=192.0.2.53", NONCE.marker("END")]


class Line:
    """A connection that is lost by its first command, or answers each with a cleanup and a whole export.

    `secret`: what it answers where secrets are asked for; None: that loses it.
    """

    host_key = "ssh-ed25519 AAAA"

    def __init__(self, *, lost: bool, secret: str | None = "") -> None:
        self.lost, self.closed, self.closes = lost, False, 0
        self.secret = secret

    async def run(self, command: str, **_limits: float) -> ExecResult:
        shows = "show-sensitive" in command
        if self.lost or (shows and self.secret is None):
            self.closed = True
            raise ConnectionLost("r1 was lost during a command")
        said = [*WHOLE[1:-1], f"set password={self.secret}", WHOLE[-1]] if shows else WHOLE
        output = "".join(f"{line}\r\n" for line in said).encode()
        return ExecResult(output=output, exit_status=0, truncated=False, ended=Ended.CLOSED)

    async def close(self) -> None:
        self.closes += 1


class Routers:
    def __init__(self, *lines: Line | Exception) -> None:
        self.lines, self.keys = list(lines), list[str]()

    async def connect(self, _site: object, *, host_key: str, covered: object) -> Line:
        assert covered is None
        self.keys.append(host_key)
        line = self.lines.pop(0)
        if isinstance(line, Exception):
            raise line
        return line


async def tidy_up(line: Line, routers: Routers, *, with_secrets: bool = False) -> Tidied:
    settings = cast(RunSettings, SimpleNamespace(export_timeout=5.0, export_cap=1 << 20, command_timeout=5.0))
    facts = SimpleNamespace(version=Version(7, 20))
    claim = SimpleNamespace(site=None)
    run = cast(
        Run,
        SimpleNamespace(
            nonce=NONCE, facts=facts, claim=claim, site=None, site_part=None, with_secrets=with_secrets, before=None
        ),
    )
    return await aftermath.tidy_up(run, cast(Connection, line), cast(Contact, routers), settings)


async def test_over_the_same_connection() -> None:
    line, routers = Line(lost=False), Routers()
    tidied = await tidy_up(line, routers)
    assert tidied.export is not None
    assert (tidied.left, tidied.warnings, line.closes, routers.keys) == (False, (), 1, [])


async def test_over_another_one_where_it_was_lost_with_the_same_host_key() -> None:
    line, again = Line(lost=True), Line(lost=False)
    routers = Routers(again)
    tidied = await tidy_up(line, routers)
    assert tidied.export is not None
    assert (tidied.left, tidied.warnings, again.closes, routers.keys) == (False, (), 1, [line.host_key])


async def test_an_export_with_secrets_comes_beside_the_other_and_costs_it_nothing() -> None:
    plain = await tidy_up(Line(lost=False), Routers())
    both = await tidy_up(Line(lost=False, secret="hush-hush"), Routers(), with_secrets=True)
    assert both.export is not None
    assert "password=hush-hush" in (both.export.sensitive or "")
    lost = await tidy_up(Line(lost=False, secret=None), Routers(), with_secrets=True)
    assert lost.export == plain.export == replace(both.export, sensitive=None)
    assert (both.left, both.warnings, lost.left) == (False, (), False)
    (warning,) = lost.warnings
    assert "was lost during a command" in warning


@pytest.mark.parametrize("second", [Line(lost=True), LoginRefused("it refused the login")])
async def test_but_once(second: Line | Exception) -> None:
    routers = Routers(second)
    tidied = await tidy_up(Line(lost=True), routers)
    assert tidied.export is None
    assert tidied.left
    assert tidied.warnings
    assert len(routers.keys) == 1

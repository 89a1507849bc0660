"""A channel that stays open after the end marker is closed where the marker proves an end, and nowhere else."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import pytest

from tminus.device.output import Ended, ExecResult
from tminus.routeros.commands import Nonce
from tminus.routeros.messages import SUCCESS
from tminus.services.verification import Verification

NONCE = Nonce.of_run("0123456789abcdef", UUID(int=41))


class Session:
    """Has said all that it will, and is closed by the router only once it is listened to for as long as there is time."""

    def __init__(self, output: str) -> None:
        self._output = output.encode()
        self.hung_up = False

    async def wait(self, deadline: float, *, linger: float | None = None) -> ExecResult:
        ended = Ended.CLOSED if linger is None else Ended.TOLD
        return ExecResult(output=self._output, exit_status=None, truncated=False, ended=ended)

    def hang_up(self) -> None:
        self.hung_up = True


@pytest.mark.parametrize(
    ("output", "state", "hung_up"),
    [
        (f"{SUCCESS}\r\n{NONCE.marker('OK')}\r\n", "completed", True),
        (f"{NONCE.marker('ERR')} failure: no\r\n", "failed", True),
        (f"{NONCE.marker('OK')}\r\n", "unknown", False),  # without the success line the script may be running
    ],
)
async def test_only_a_script_that_is_over_is_hung_up(output: str, state: str, hung_up: bool) -> None:
    session: Any = Session(output)
    deadline = asyncio.get_running_loop().time() + 10
    run: Any = SimpleNamespace(deadline=deadline, nonce=NONCE, script=b":put 1\n", catches=True, greeting=())
    _, verdict = await Verification(contact=Mock(), settings=Mock(), step=Mock())._listen(run, session)
    assert verdict.state == state  # type: ignore[union-attr]
    assert session.hung_up is hung_up

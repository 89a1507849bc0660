"""Routers behind a jump host: one connection, bounded places, and errors that say whose fault it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import asyncssh
import pytest

from tests.bastion import HOST, Bastion, bastion
from tests.device.servers import BY_KEY, QUICK, Wire, connector, key, router, target, tcp, text, until
from tminus.device.connector import Connector
from tminus.device.credentials import Credential
from tminus.device.hostkeys import HostKey
from tminus.device.jump_hosts import Gate, JumpHost
from tminus.device.target import Limits, Target
from tminus.errors import ConnectionLost, HostKeyChanged, JumpHostFailed, LoginRefused, Offline


def behind(where: Target, number: int = 0) -> Target:
    return replace(where, site_id=f"site_{number}", jump_host="gate", how_to_pin="")


@contextlib.asynccontextmanager
async def gate_to(
    far: Bastion, *, by: Connector | None = None, port: int | None = None, max_sites: int = 5, idle_timeout: float = 60.0,
    host_key: str | None = None, username: str = "jump",
) -> AsyncIterator[Gate]:  # fmt: skip
    by = by or connector()
    host = JumpHost(
        name="gate",
        address=HOST,
        port=port or far.port,
        username=username,
        credential=Credential(name="jump", username="jump", key=far.client_key),
        host_keys=(HostKey.parse(host_key or far.pin),),
        max_sites=max_sites,
        idle_timeout=idle_timeout,
    )
    gate = Gate(host, by.dial, silence=by.limits.silence)
    try:
        yield gate
    finally:
        await gate.close()


async def test_many_sites_share_one_connection_and_every_byte_arrives() -> None:
    sent = bytes(range(256)) * 4096

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(sent)
        process.exit(0)

    async with bastion() as far, gate_to(far) as gate, router(answer) as near:

        async def visit(number: int) -> bytes:
            where = behind(target(near.port), number)
            async with await connector().connect(where, BY_KEY, through=gate) as connection:
                return (await connection.run("big", deadline=10, cap=2 << 20)).output

        assert set(await asyncio.gather(*(visit(number) for number in range(20)))) == {sent}
        assert (far.logins, len(near.connections)) == (1, 20)
        assert 1 < far.most <= 5, "there are five places"
        assert gate.free == 5
        await until(lambda: far.open == 0)


async def test_the_host_key_of_the_site_is_checked_through_the_tunnel() -> None:
    async with bastion() as far, gate_to(far) as gate, router() as near:
        where = behind(target(near.port, host_key=text(key(number=9))))
        with pytest.raises(HostKeyChanged, match=r"site_0 \(127.0.0.1:\d+ through gate\) changed") as caught:
            await connector().connect(where, BY_KEY, through=gate)
        assert "tminus site pin site_0" in str(caught.value)
        assert near.journal == []
        assert await connector().fetch_host_key(where, through=gate) == text(key())
        await until(lambda: gate.free == 5)


async def test_a_site_that_is_not_there_is_offline_and_a_refusal_of_the_jump_host_is_not() -> None:
    async with bastion() as far, gate_to(far) as gate:
        async with router() as near:
            port = near.port
        with pytest.raises(Offline, match=r"through gate.* is offline: Connection refused"):
            await connector().connect(behind(target(port)), BY_KEY, through=gate)
        far.allows = False
        with pytest.raises(JumpHostFailed, match=r"jump host gate .* did not let us through to site_0"):
            await connector().connect(behind(target(port)), BY_KEY, through=gate)
        assert (gate.free, far.logins) == (5, 1)


async def test_a_site_that_says_nothing_is_offline_and_where_the_jump_host_says_nothing_it_is_not() -> None:
    by = connector(Limits(connect_timeout=0.5, login_timeout=5, keepalive_interval=60))

    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with (
        bastion() as far,
        Wire.to(far.port) as wire,
        gate_to(far, by=by, port=wire.port) as gate,
        tcp(mute) as port,
    ):
        with pytest.raises(Offline, match=r"through gate.* is offline: no SSH banner within 0\.5 s"):
            await by.connect(behind(target(port)), BY_KEY, through=gate)
        wire.freeze()
        with pytest.raises(
            JumpHostFailed, match=r"jump host gate .* did not answer within 0\.5 s; site_0 was not reached"
        ):
            await by.connect(behind(target(port)), BY_KEY, through=gate)
        wire.thaw()
        with pytest.raises(Offline):
            await by.connect(behind(target(port)), BY_KEY, through=gate)


async def test_a_changed_key_of_the_jump_host_gets_no_login_and_one_attempt_serves_all() -> None:
    async with bastion() as far, gate_to(far, host_key=text(key(number=9))) as gate, router() as near:

        async def visit(number: int) -> str:
            with pytest.raises(JumpHostFailed) as caught:
                await connector().connect(behind(target(near.port), number), BY_KEY, through=gate)
            return str(caught.value)

        for said in await asyncio.gather(*(visit(number) for number in range(5))):
            assert "host key of jump host gate" in said
            assert "host_keys of [jump_hosts.gate]" in said
            assert "was not looked at" in said
        assert "next attempt" in await visit(9)
        assert (far.logins, far.refused, len(far.connections), near.journal) == (0, 0, 1, [])


async def test_a_refused_login_at_the_jump_host_is_not_repeated_at_once() -> None:
    async with bastion() as far, gate_to(far, username="other") as gate:
        for _ in range(3):
            with pytest.raises(JumpHostFailed, match=r"jump host gate .* refused the login") as caught:
                await connector().connect(behind(target(1)), BY_KEY, through=gate)
            assert not isinstance(caught.value, LoginRefused)
        assert (far.refused, gate.free) == (1, 5)


async def test_a_jump_host_that_comes_back_is_used_again_after_a_pause() -> None:
    async with bastion() as far, gate_to(far) as gate, router() as near:
        far.unlisten()
        with pytest.raises(
            JumpHostFailed, match=r"jump host gate .* is offline: Connection refused; site_0 was not looked at"
        ):
            await connector().connect(behind(target(near.port)), BY_KEY, through=gate)
        await far.listen()

        async def works() -> bool:
            try:
                await (await connector().connect(behind(target(near.port)), BY_KEY, through=gate)).close()
            except JumpHostFailed:
                await asyncio.sleep(0.05)
                return False
            return True

        async with asyncio.timeout(5):
            while not await works():
                pass
        assert far.logins == 1


async def test_a_jump_host_that_dies_is_named_by_its_sites_and_connected_to_anew_once() -> None:
    async def hang(process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.command == "hang":
            await asyncio.Event().wait()
        process.exit(0)

    async with bastion() as far, gate_to(far) as gate, router(hang) as near:
        connections = [
            await connector().connect(behind(target(near.port), number), BY_KEY, through=gate) for number in range(3)
        ]
        commands = [asyncio.create_task(c.run("hang", deadline=10, cap=1000)) for c in connections[:2]]
        execution = await connections[2].start("hang", deadline=5, cap=1000)
        await until(lambda: sum("command hang" in line for line in near.journal) == 3)
        far.cut()
        for command in commands:
            with pytest.raises(ConnectionLost, match=r"jump host gate .* was lost"):
                await command
        assert (await execution.wait(5)).ended == "lost"
        assert "jump host gate" in (connections[2].jump_problem or "")
        again = await asyncio.gather(
            *(connector().connect(behind(target(near.port), number), BY_KEY, through=gate) for number in range(3))
        )
        assert far.logins == 2
        for connection in again:
            await connection.close()
        assert gate.free == 5


async def test_a_silent_jump_host_is_left_to_what_runs_behind_it_and_another_connection_is_made() -> None:
    quick = Limits(connect_timeout=5, login_timeout=5, keepalive_interval=0.1, keepalive_misses=3)

    async def slow(process: asyncssh.SSHServerProcess[bytes]) -> None:
        if process.command == "script":
            await process.stdin.read()
        process.exit(0)

    async with bastion() as far, router(slow) as near, Wire.to(far.port) as wire:
        by = connector(quick)
        async with gate_to(far, by=by, port=wire.port) as gate:
            connection = await by.connect(behind(target(near.port)), BY_KEY, through=gate)
            execution = await connection.start("script", deadline=5, cap=1000)
            wire.freeze()
            assert (await execution.wait(5)).ended == "lost"
            assert not connection.closed, "closing it would stop the script"
            assert "is silent" in (connection.jump_problem or "")
            other = asyncio.create_task(by.connect(behind(target(near.port)), BY_KEY, through=gate))
            await until(lambda: len(wire._writers) == 4)
            wire.thaw()
            await (await other).close()
            assert (far.logins, far.living) == (2, 2)
            connection.abort()
            await until(lambda: far.living == 1)


async def test_a_place_is_waited_for_in_order_outside_the_connect_timeout() -> None:
    async with bastion() as far, gate_to(far, max_sites=1) as gate, router() as near:
        by = connector(replace(QUICK, connect_timeout=2, login_timeout=2))
        first = await by.connect(behind(target(near.port), 1), BY_KEY, through=gate)
        assert gate.try_hold("site_1"), "a site that has a place shares it"
        assert not gate.try_hold("site_2")
        waiting = asyncio.create_task(by.connect(behind(target(near.port), 2), BY_KEY, through=gate))
        gone = asyncio.create_task(by.connect(behind(target(near.port), 3), BY_KEY, through=gate))
        await until(lambda: len(gate._waiting) == 2)
        gone.cancel()
        await first.close()
        await until(near.connections[0].is_closed)
        assert not waiting.done()
        gate.release("site_1")
        second = await waiting
        assert (far.most, gate.free) == (1, 0)
        await second.close()
        await until(lambda: gate.free == 1)


async def test_a_connect_that_is_given_up_keeps_its_place_until_the_jump_host_has_given_up_too() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with bastion() as far, tcp(mute) as port, gate_to(far, by=connector(QUICK)) as gate:
        by = connector(QUICK)
        with pytest.raises(Offline, match="no SSH banner within"):
            await by.connect(behind(target(port)), BY_KEY, through=gate)
        await until(lambda: gate.free == 5 and far.open == 0)
        entered = await gate.enter(behind(target(port)))
        assert gate.free == 4
        entered.leave()
        entered.leave()
        assert gate.free == 5


async def test_an_idle_connection_is_closed_and_opened_again_on_demand() -> None:
    async with bastion() as far, gate_to(far, idle_timeout=0.1) as gate, router() as near:
        for logins in (1, 2):
            await (await connector().connect(behind(target(near.port)), BY_KEY, through=gate)).close()
            assert far.logins == logins
            await until(lambda: far.living == 0)

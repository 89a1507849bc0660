"""Commands: what comes back, and what happens when it does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.device.servers import BY_KEY, QUICK, Handler, Router, Wire, connector, router, target, until
from tminus.device.connection import LONGEST_COMMAND, Connection
from tminus.device.output import Ended
from tminus.device.target import Limits
from tminus.errors import ConnectionLost, DeviceTimeout

Process = asyncssh.SSHServerProcess[bytes]
MIB = 1024 * 1024


@contextlib.asynccontextmanager
async def _connected(
    handler: Handler | None = None, limits: Limits | None = None, **options: object
) -> AsyncIterator[tuple[Connection, Router, Wire]]:
    """A logged-in connection through a wire that can be cut."""
    async with router(handler, **options) as far, Wire.to(far.port) as wire:
        connects = connector(limits) if limits else connector()
        near = await connects.connect(target(wire.port), BY_KEY)
        try:
            yield near, far, wire
        finally:
            near.abort()


async def _until_closed(process: Process) -> None:
    await process.wait_closed()


# --- what comes back


async def test_stdout_and_stderr_arrive_as_one_in_order_and_undecoded() -> None:
    async def speak(process: Process) -> None:
        for number in range(10):
            process.stdout.write(b"out %d \xff\xfe\0\r\n" % number)
            process.stderr.write(b"err %d \x1b[31m\r\n" % number)
        process.exit(1)

    async with _connected(speak) as (near, _, _):
        result = await near.run("/export", deadline=5, cap=MIB)
        lines = b"".join(b"out %d \xff\xfe\0\r\nerr %d \x1b[31m\r\n" % (number, number) for number in range(10))
        assert result.output == lines
        assert result.exit_status == 1
        assert result.ended is Ended.CLOSED
        assert not result.truncated


async def test_several_commands_and_a_silent_one_share_a_connection() -> None:
    async def silent(process: Process) -> None:
        process.exit(0)

    async with _connected(silent) as (near, far, _):
        for number in range(5):
            result = await near.run(f"/ip/address/add {number}", deadline=5, cap=MIB)
            assert (result.output, result.exit_status) == (b"", 0)
        assert far.journal[-5:] == [f"command /ip/address/add {number}" for number in range(5)]
        assert len(far.connections) == 1


async def test_there_is_no_terminal_and_no_environment_and_the_command_is_utf8() -> None:
    seen: list[object] = []

    async def look(process: Process) -> None:
        seen.extend([process.term_type, dict(process.env)])
        process.exit(0)

    async with _connected(look) as (near, far, _):
        await near.run(':put "grün"', deadline=5, cap=MIB)
        assert seen == [None, {}]
        assert far.journal[-1] == 'command :put "grün"'


async def test_a_channel_that_closes_without_a_status_proves_nothing_but_loses_nothing() -> None:
    async def leave(process: Process) -> None:
        process.stdout.write(b"half")
        process.close()

    async with _connected(leave) as (near, _, _):
        result = await near.run("x", deadline=5, cap=MIB)
        assert (result.output, result.exit_status, result.ended) == (b"half", None, Ended.CLOSED)
        assert not near.closed


async def test_a_signal_is_no_exit_status() -> None:
    async def die(process: Process) -> None:
        process.exit_with_signal("KILL", msg="\x1b gone")

    async with _connected(die) as (near, _, _):
        result = await near.run("x", deadline=5, cap=MIB)
        assert (result.exit_status, result.ended) == (None, Ended.CLOSED)


async def test_an_export_below_the_cap_fits_in_the_window_without_waiting_for_us() -> None:
    # RouterOS drops what does not fit in the window of the client, and says exit status 0.
    waiting: list[int] = []
    export = bytes(range(256)) * 16 * 1024  # 4 MiB

    async def dump(process: Process) -> None:
        process.stdout.write(export)
        waiting.append(process.channel.get_write_buffer_size())
        process.exit(0)

    async with _connected(dump) as (near, _, _):
        result = await near.run("/export", deadline=20, cap=4 * MIB)
        assert waiting == [0]
        assert result.output == export
        assert not result.truncated


# --- run: on doubt, abort and raise


async def _flood(process: Process) -> None:
    with contextlib.suppress(asyncssh.Error, OSError):
        for _ in range(100 * 16):
            process.stdout.write(b"x" * 65536)
            await process.stdout.drain()
        process.stdout.write(b"the end")
        process.exit(0)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_a_flood_is_stopped_at_the_cap_in_bounded_memory() -> None:
    async with _connected(_flood) as (near, far, _):
        before = _resident()
        result = await near.run("/export", deadline=20, cap=MIB)
        assert result.ended is Ended.OVERFLOW
        assert result.truncated
        assert MIB < len(result.output) < MIB + 100
        assert b"bytes left out" in result.output
        await until(lambda: near.closed and far.connections[0].is_closed())
        assert _resident() - before < 48 * MIB  # both ends are in this process


async def test_a_connection_cut_during_a_command_is_lost_although_asyncssh_returns_normally() -> None:
    async def half(process: Process) -> None:
        process.stdout.write(b"half")
        await process.stdout.drain()
        await _until_closed(process)

    async with _connected(half) as (near, far, wire):
        running = asyncio.create_task(near.run("x", deadline=20, cap=MIB))
        await until(lambda: "command x" in far.journal)
        wire.reset()
        with pytest.raises(ConnectionLost, match=r"was lost during a command \(Connection (lost|reset by peer)"):
            await running
        assert near.closed


@pytest.mark.parametrize("code", [asyncssh.DISC_BY_APPLICATION, asyncssh.DISC_PROTOCOL_ERROR])
async def test_a_goodbye_during_a_command_is_a_loss(code: int) -> None:
    async with _connected(_until_closed) as (near, far, _):
        running = asyncio.create_task(near.run("x", deadline=20, cap=MIB))
        await until(lambda: "command x" in far.journal)
        far.connections[0].disconnect(code, "rebooting\x07")
        with pytest.raises(ConnectionLost, match=r"rebooting|closed by the router") as caught:
            await running
        assert "\x07" not in str(caught.value)


async def test_a_command_that_drips_ends_at_the_total_deadline() -> None:
    async def drip(process: Process) -> None:
        while not process.channel.is_closing():
            process.stdout.write(b".")
            await asyncio.sleep(0.02)  # the pace is the fault

    async with _connected(drip, QUICK) as (near, far, _):
        began = asyncio.get_running_loop().time()
        with pytest.raises(DeviceTimeout, match=r"did not finish a command within 0\.5 s; connection aborted"):
            await near.run("x", deadline=0.5, cap=MIB)
        assert 0.45 < asyncio.get_running_loop().time() - began < 1
        await until(lambda: near.closed and far.connections[0].is_closed())


async def test_a_router_that_falls_silent_is_lost_after_three_missed_keepalives() -> None:
    async with _connected(_until_closed, QUICK) as (near, far, wire):
        running = asyncio.create_task(near.run("x", deadline=20, cap=MIB))
        await until(lambda: "command x" in far.journal)
        loop = asyncio.get_running_loop()
        wire.freeze()
        began = loop.time()
        with pytest.raises(ConnectionLost, match="not responding to keepalive"):
            await running
        assert 0.25 < loop.time() - began < 0.8  # 0.3 s of silence


async def test_a_slow_command_on_a_router_that_answers_keepalives_is_not_lost() -> None:
    async def slow(process: Process) -> None:
        await asyncio.sleep(0.5)  # longer than the silence that is tolerated
        process.exit(0)

    async with _connected(slow, QUICK) as (near, _, _):
        assert (await near.run("x", deadline=20, cap=MIB)).exit_status == 0
        execution = await near.start("/import", deadline=5, cap=MIB)
        assert (await execution.wait(20)).ended is Ended.CLOSED


async def test_only_a_router_that_is_silent_is_asked_whether_it_lives_and_not_with_a_timer_for_each_packet() -> None:
    silent = asyncio.Event()

    async def drip(process: Process) -> None:
        for number in range(200):
            process.stdout.write(b"%d\r\n" % number)
            await asyncio.sleep(0.002)
        silent.set()
        await process.wait_closed()

    async with _connected(drip, QUICK) as (near, far, _):
        unheard: list[float] = []  # seconds, whenever the router is asked
        timers: list[float] = []
        loop, transport = asyncio.get_running_loop(), near._transport
        ask, call_later = transport._make_keepalive_request, loop.call_later

        async def note() -> None:
            unheard.append(loop.time() - transport.heard_at)
            await ask()

        def counted(delay: float, callback: Callable[..., object], *args: object) -> asyncio.TimerHandle:
            if callback == transport._keepalive_timer_callback:
                timers.append(delay)
            return call_later(delay, callback, *args)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop, "call_later", counted)
            patch.setattr(transport, "_make_keepalive_request", note)
            began = loop.time()
            running = asyncio.create_task(near.run("x", deadline=20, cap=MIB))
            async with asyncio.timeout(10):
                await silent.wait()
            assert len(timers) <= len(unheard) + 2 * (loop.time() - began) / QUICK.keepalive_interval + 2
            asked = len(unheard)
            await until(lambda: len(unheard) >= asked + 2)
            running.cancel()
        assert min(unheard) >= QUICK.keepalive_interval - 0.01
        assert not far.connections[0].is_closed()


@pytest.mark.parametrize("refused", ["channel", "command"])
async def test_a_session_that_is_refused_once_is_asked_for_again(refused: str) -> None:
    """As Dropbear does, while it ends the one before."""

    def refusal() -> object:
        return False if refused == "channel" else _Refusing()

    class Taking(asyncssh.SSHServerSession[bytes]):
        def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            self._channel = chan

        def exec_requested(self, command: str) -> bool:
            return True

        def session_started(self) -> None:
            self._channel.write(b"taken\n")
            self._channel.exit(0)

    sessions: Iterator[Callable[[], object]] = iter([refusal, Taking, Taking, refusal, refusal])

    def session() -> object:
        return next(sessions)()

    async with _connected(session=session) as (near, _, _):
        for _ in range(2):
            assert (await near.run("x", deadline=5, cap=MIB)).output == b"taken\n"
        with pytest.raises(ConnectionLost, match="refused a command, or was lost"):
            await near.run("x", deadline=5, cap=MIB)


async def test_a_refused_command_is_a_loss() -> None:
    async with _connected(session=lambda: False) as (near, _, _):
        with pytest.raises(ConnectionLost, match="refused a command, or was lost"):
            await near.run("x", deadline=5, cap=MIB)
        with pytest.raises(ConnectionLost, match="SSH connection closed"):
            await near.run("x", deadline=5, cap=MIB)


async def test_a_cancelled_command_drops_the_connection() -> None:
    async with _connected(_until_closed) as (near, far, _):
        running = asyncio.create_task(near.run("x", deadline=20, cap=MIB))
        await until(lambda: "command x" in far.journal)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(far.connections[0].is_closed)


@pytest.mark.parametrize("command", ["one\ntwo", "one\rtwo", "x" * (LONGEST_COMMAND + 1), "ü" * LONGEST_COMMAND])
async def test_what_routeros_cannot_take_as_one_line_is_our_mistake(command: str) -> None:
    async with _connected() as (near, far, _):
        with pytest.raises(ValueError, match="an exec command"):
            await near.run(command, deadline=5, cap=MIB)
        with pytest.raises(ValueError, match="an exec command"):
            await near.start(command, deadline=5, cap=MIB)
        with pytest.raises(ValueError, match="below the window"):
            await near.run("x", deadline=5, cap=near.limits.window)
        assert not [line for line in far.journal if line.startswith("command")]
        await near.run("x" * LONGEST_COMMAND, deadline=5, cap=MIB)


async def test_leaving_the_context_closes_and_an_exception_aborts() -> None:
    async with router() as far:
        async with await connector().connect(target(far.port), BY_KEY) as near:
            pass
        assert near.closed
        with pytest.raises(ZeroDivisionError):
            async with await connector().connect(target(far.port), BY_KEY) as near:
                raise ZeroDivisionError
        await until(lambda: near.closed)


async def test_close_is_bounded_even_if_the_router_is_gone() -> None:
    async with _connected() as (near, _, wire):
        wire.freeze()
        async with asyncio.timeout(3):
            await near.close()
        assert near.closed


# --- start: abort nothing, raise nothing


async def test_a_started_command_is_waited_for_in_pieces() -> None:
    go_on = asyncio.Event()

    async def work(process: Process) -> None:
        process.stdout.write(b"one ")
        await go_on.wait()
        process.stdout.write(b"two")
        process.exit(0)

    async with _connected(work) as (near, far, _):
        execution = await near.start("/import", deadline=5, cap=MIB)
        first = await execution.wait(0.1)
        assert (first.output, first.exit_status, first.ended) == (b"one ", None, Ended.TIMED_OUT)
        assert not near.closed
        again = await execution.wait(0)
        assert again == first
        go_on.set()
        last = await execution.wait(5)
        assert (last.output, last.exit_status, last.ended) == (b"one two", 0, Ended.CLOSED)
        assert await execution.wait(0) == last
        assert far.journal.count("command /import") == 1
        assert (await near.run("y", deadline=5, cap=MIB)).exit_status == 0


async def test_a_channel_that_is_left_open_behind_the_awaited_line_is_waited_for_a_little() -> None:
    more, closed = asyncio.Event(), asyncio.Event()

    async def work(process: Process) -> None:
        process.stdout.write(b"x" * (2 * MIB) + b"\nDONE-1")
        await more.wait()
        process.stdout.write(b" and well\r\n")
        await process.wait_closed()
        closed.set()

    async with _connected(work) as (near, _, _):
        execution = await near.start("/import", deadline=5, cap=MIB, ends=(b"DONE-1",))
        assert (await execution.wait(0.3, linger=0.05)).ended is Ended.TIMED_OUT
        more.set()
        result = await execution.wait(60, linger=0.05)
        assert (result.ended, result.exit_status, execution.closed) == (Ended.TOLD, None, False)
        assert result.output.endswith(b"\nDONE-1 and well\r\n")
        assert (await execution.wait(0.05)).ended is Ended.TIMED_OUT  # whoever is not content with it listens on
        assert not closed.is_set()
        execution.hang_up()
        async with asyncio.timeout(5):
            await closed.wait()
        assert not near.closed


async def test_a_channel_that_closes_behind_the_awaited_line_tells_its_exit_status() -> None:
    async def work(process: Process) -> None:
        process.stdout.write(b"DONE-1\r\n")
        process.exit(3)

    async with _connected(work) as (near, _, _):
        execution = await near.start("/import", deadline=5, cap=MIB, ends=(b"DONE-1",))
        result = await execution.wait(60, linger=30)
        assert (result.ended, result.exit_status) == (Ended.CLOSED, 3)


async def test_a_started_command_that_floods_runs_to_its_end_in_bounded_memory() -> None:
    async def flood(process: Process) -> None:
        process.stdout.write(b"the beginning")
        for _ in range(32 * 16):
            process.stdout.write(b"x" * 65536)
            await process.stdout.drain()
        process.stdout.write(b"the end")
        process.exit(0)

    # The server, which is in this process too, may hold a window of it.
    async with _connected(flood, Limits(window=2 * MIB)) as (near, _, _):
        before = _resident()
        execution = await near.start("/import", deadline=5, cap=MIB)
        result = await execution.wait(60)
        assert result.ended is Ended.CLOSED
        assert result.exit_status == 0
        assert result.truncated
        assert len(result.output) < MIB + 100
        assert result.output.startswith(b"the beginning")
        assert result.output.endswith(b"the end")
        assert _resident() - before < 16 * MIB


async def test_a_connection_cut_under_a_started_command_is_reported_with_what_came() -> None:
    async def half(process: Process) -> None:
        process.stdout.write(b"half")
        await process.stdout.drain()
        await _until_closed(process)

    async with _connected(half) as (near, _, wire):
        execution = await near.start("/import", deadline=5, cap=MIB)
        await until(lambda: execution._session.result(Ended.LOST).output == b"half")
        wire.reset()
        result = await execution.wait(20)
        assert (result.output, result.exit_status, result.ended) == (b"half", None, Ended.LOST)
        assert near.closed
        assert await execution.wait(0) == result


async def test_a_silent_router_is_reported_lost_but_its_script_is_not_aborted() -> None:
    go_on = asyncio.Event()

    async def work(process: Process) -> None:
        await go_on.wait()
        process.stdout.write(b"done")
        process.exit(0)

    async with _connected(work, QUICK) as (near, far, wire):
        execution = await near.start("/import", deadline=5, cap=MIB)
        await until(lambda: "command /import" in far.journal)
        wire.freeze()
        loop = asyncio.get_running_loop()
        began = loop.time()
        lost = await execution.wait(20)
        assert lost.ended is Ended.LOST
        assert 0.25 < loop.time() - began < 0.8
        assert (await execution.wait(0.6)).ended is Ended.LOST  # and again; far beyond what asyncssh would bear
        assert not near.closed
        assert not far.connections[0].is_closed()
        go_on.set()
        wire.thaw()
        result = await execution.wait(5)
        assert (result.output, result.exit_status, result.ended) == (b"done", 0, Ended.CLOSED)
        wire.freeze()  # from here on, silence is an end again
        with pytest.raises(ConnectionLost, match="keepalive"):
            await near.run("x", deadline=20, cap=MIB)


async def test_a_started_command_that_is_never_confirmed_was_sent_all_the_same() -> None:
    heard: list[str] = []

    class Mute(asyncssh.SSHServerSession[bytes]):
        def exec_requested(self, command: str) -> None:  # neither yes nor no
            heard.append(command)

    async with _connected(session=Mute) as (near, _, _):
        execution = await near.start("/import", deadline=5, cap=MIB)
        await until(lambda: heard == ["/import"])
        assert (await execution.wait(0.1)).ended is Ended.TIMED_OUT
        assert not near.closed


class _Refusing(asyncssh.SSHServerSession[bytes]):
    def exec_requested(self, command: str) -> bool:
        return False


async def test_a_started_command_that_is_refused_after_it_was_sent_ends_without_a_status() -> None:
    async with _connected(session=_Refusing) as (near, _, _):
        execution = await near.start("/import", deadline=5, cap=MIB)
        result = await execution.wait(5)
        assert (result.output, result.exit_status, result.ended) == (b"", None, Ended.CLOSED)


async def test_no_channel_means_that_the_command_was_not_sent() -> None:
    async with _connected(session=lambda: False) as (near, _, _):
        with pytest.raises(ConnectionLost, match="refused a command, or was lost before it was sent"):
            await near.start("/import", deadline=5, cap=MIB)
        await until(lambda: near.closed)


async def test_a_router_that_opens_no_channel_in_time_was_sent_nothing() -> None:
    async with _connected(session=lambda: asyncio.Event().wait()) as (near, far, _):
        with pytest.raises(DeviceTimeout, match=r"within 0\.2 s; it was not sent; connection aborted"):
            await near.start("/import", deadline=0.2, cap=MIB)
        await until(lambda: near.closed and far.connections[0].is_closed())


async def test_the_last_look_is_taken_when_the_channel_is_open_and_keeps_the_command_back() -> None:
    opens = asyncio.Event()
    looked: list[bool] = []
    asked: list[str] = []

    class Late(Exception):
        pass

    class Asked(asyncssh.SSHServerSession[bytes]):
        def exec_requested(self, command: str) -> bool:
            asked.append(command)
            return True

    def look() -> None:
        looked.append(opens.is_set())
        raise Late

    async def late() -> object:
        await opens.wait()
        return Asked()

    async with _connected(session=late) as (near, far, _):
        starting = asyncio.create_task(near.start("/import", deadline=30, cap=MIB, last_look=look))
        await until(lambda: len(far.connections[0]._channels) == 1)
        assert not looked
        opens.set()
        with pytest.raises(Late):
            await starting
        await until(lambda: near.closed and far.connections[0].is_closed())
        assert (looked, asked) == ([True], [])


async def test_a_connection_that_is_already_gone_was_sent_nothing() -> None:
    async with _connected() as (near, far, wire):
        wire.reset()
        await until(lambda: near.closed)
        with pytest.raises(ConnectionLost, match="before it was sent"):
            await near.start("/import", deadline=5, cap=MIB)
        assert "command /import" not in far.journal


async def test_a_start_that_is_cancelled_before_it_is_sent_sends_nothing() -> None:
    async with _connected(session=lambda: asyncio.Event().wait()) as (near, far, _):
        starting = asyncio.create_task(near.start("/import", deadline=5, cap=MIB))
        await until(lambda: len(far.connections[0]._channels) == 1)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        await until(lambda: near.closed and far.connections[0].is_closed())


async def test_a_lost_connection_leaves_no_timer_behind() -> None:
    loop = asyncio.get_running_loop()
    async with _connected(_until_closed) as (near, _, wire):
        execution = await near.start("/import", deadline=5, cap=MIB)
        wire.reset()
        assert (await execution.wait(5)).ended is Ended.LOST
        await until(lambda: near.closed)
        ours = [timer for timer in loop._scheduled if not timer.cancelled() and "keepalive" in repr(timer)]
        assert ours == []

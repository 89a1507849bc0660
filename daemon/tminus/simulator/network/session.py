"""One channel of an SSH connection: an exec request, a shell, or the sftp subsystem."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Protocol, cast

import asyncssh
from asyncssh.constants import MSG_CHANNEL_REQUEST
from asyncssh.packet import Boolean, String, UInt32
from asyncssh.stream import SSHServerStreamSession

from tminus.routeros.language import ScriptSyntaxError
from tminus.simulator.behaviour import ChannelEnd, Newline, OverLength, Question
from tminus.simulator.console.interpreter import Console
from tminus.simulator.contents.permissions import rights
from tminus.simulator.errors import Dropped, Quit, Rebooted, RunError
from tminus.simulator.faults import HOSTILE_BYTES, SLOW_S, Fault
from tminus.simulator.jobs import Job, JobKind
from tminus.simulator.journal import Kind
from tminus.simulator.router import Router
from tminus.simulator.terminal import LoginName

from .sftp import SftpServer
from .shell import Shell

_IMPORT_LABELS = (":import", "")  # a failed dry-run comes without a path


class Wire(Protocol):
    """The connection below a session."""

    @property
    def silent(self) -> bool:
        """Whether the router went down without a word: nothing may be sent."""

    def cut(self) -> None:
        """Drop the TCP connection."""

    def silence(self) -> None:
        """Answer nothing any more, without dropping anything."""

    def channel_closed(self) -> None:
        """Count one channel less."""


@contextmanager
def router_job(router: Router, user: str, command: str, task: asyncio.Task[None] | None) -> Iterator[None]:
    """A command of a session is a job, too: it is listed, and can be removed."""
    job = router.new_job(command, user, JobKind.LOGIN)
    job.policy = rights(router, user)
    job.listed = router.behaviour.foreground_listed
    job.task = task
    try:
        yield
    finally:
        router.end_job(job)


class Session(SSHServerStreamSession[bytes]):
    """Its command is a task of the router, which may outlive the session."""

    def __init__(self, router: Router, user: str, *, wire: Wire) -> None:
        super().__init__(None, lambda chan: SftpServer(cast(asyncssh.SSHServerChannel[bytes], chan), router, user), 3)
        self._router = router
        self._user = user
        self._wire = wire
        self._task: asyncio.Task[None] | None = None
        self._output: list[str] = []
        self._imported = False
        self._started: list[Job] = []
        self._logged = router.next_id()  # log lines with greater ids came while this session was there

    def pty_requested(self, term_type: str, term_size: tuple[int, int, int, int], term_modes: object) -> bool:  # noqa: ARG002
        return True

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:  # noqa: ARG002
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        return subsystem == "sftp"

    def session_started(self) -> None:
        channel = self._channel()
        if channel is None:
            return
        command = channel.get_command()
        if command is not None:
            self._task = self._router.tasks.start(self._exec(command), "exec")
        elif channel.get_subsystem() is None:
            self._task = self._router.tasks.start(self._interact(channel), "shell")
        elif "ftp" not in rights(self._router, self._user):
            channel.close()  # policy ftp is missing: no reason is given
        else:
            super().session_started()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None and not self._router.behaviour.foreground_survives_close:
            self._task.cancel()
        if not self._router.behaviour.job_survives_session:
            for job in self._started:
                self._router.stop_job(job.id)
        self._wire.channel_closed()
        super().connection_lost(exc)

    def _channel(self) -> asyncssh.SSHServerChannel[bytes] | None:
        """The channel, if one can still write to it."""
        channel = self._chan
        if isinstance(channel, asyncssh.SSHServerChannel) and not channel.is_closing():
            return channel
        return None

    async def _exec(self, command: str) -> None:
        router = self._router
        router.record(Kind.EXEC, command=command)
        try:
            if Fault.SLOW in router.faults:
                await asyncio.sleep(SLOW_S)
            status = await self._line(command)
        except asyncio.CancelledError:
            router.record(Kind.EXEC_INTERRUPTED, command=command)
            if not self._wire.silent:
                if router.behaviour.says_interrupted:
                    self._output.append("interrupted\n")
                self._finish(None)  # somebody removed the job: this session is still there
            raise
        except Dropped:
            return
        except Rebooted:
            self._after_reboot()
            return
        if self._imported and router.behaviour.import_keeps_open:
            await self._send_written()
            return
        self._finish(status)

    async def _interact(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        """A shell, with a terminal if the client asked for one."""
        terminal = channel.get_terminal_type()
        login = LoginName.parse(str(channel.get_extra_info("username")))
        size = None if terminal is None else channel.get_terminal_size()[:2]
        shell = Shell(self._router, login, size=size, read=lambda: self._typed(shell), line=_ShellLine(self))
        try:
            await shell.run()
        except (Dropped, Rebooted):
            return
        self._finish(0)

    async def _typed(self, shell: Shell) -> bytes:
        """What the client sends next; nothing at the end."""
        while True:
            try:
                return await self.read(None, 4096, exact=False)
            except asyncssh.TerminalSizeChanged as change:
                shell.resize(change.width, change.height)
            except asyncssh.SignalReceived as signal:
                if signal.signal == "INT":
                    return b"\x03"
            except asyncssh.BreakReceived:
                pass
            except (OSError, asyncssh.Error):
                return b""

    async def _line(self, command: str) -> int | None:
        """Run one console line; its exit status, or None for none."""
        behaviour = self._router.behaviour
        source = command.encode("utf-8", "surrogateescape")
        if len(source) > behaviour.max_command_bytes:
            match behaviour.over_length:
                case OverLength.CLOSE:
                    return None
                case OverLength.ERROR:
                    self._output.append("failure: command too long\n")
                    return 1
                case OverLength.TRUNCATE:
                    source = source[: behaviour.max_command_bytes]
        if b"\n" in source.rstrip(b"\n"):  # documented: several lines are not possible without a terminal
            match behaviour.newline:
                case Newline.CLOSE:
                    return None
                case Newline.ERROR:
                    column = source.index(b"\n") + 1
                    self._output.append(f"syntax error (line 1 column {column})\n")
                    return self._router.parse_error_status
                case Newline.FIRST_LINE:
                    source = source[: source.index(b"\n")]
        if behaviour.note_on_exec and (note := self._router.config.value(("system", "note"), "note")):
            self._output.append(f"{note}\n")
        if Fault.RUNS_DRY_RUN in self._router.faults:
            source = source.replace(b" verbose=yes dry-run", b"")
        for word, known in (
            (b"/system script job", behaviour.shows_jobs),
            (b":log ", behaviour.shows_log),
            (b"/log ", behaviour.shows_log),
            (b" dry-run", behaviour.knows_dry_run),
            (b":onerror ", behaviour.knows_onerror),
        ):
            if not known and word in source:
                self._output.append(f"syntax error (line 1 column {source.index(word) + 1})\n")
                return self._router.parse_error_status
        with router_job(self._router, self._user, command, self._task):
            return await self._console(source)

    async def _console(self, source: bytes) -> int:
        console = Console(
            self._router,
            self._user,
            write=self._output.append,
            flush=self._send_written,
            cut=self._wire.cut,
            silence=self._wire.silence,
            ask=self._ask,
            session=self._wire if self._router.behaviour.safe_mode_outlives_exec else None,
            jobs=self._started,
        )
        try:
            status = await self._run(console, source)
        finally:
            self._router.safe_mode.ended(console)
            self._imported = console.imported
        if console.imported and Fault.DROPS_AFTER_SCRIPT in self._router.faults:
            self._wire.cut()
            raise Dropped
        if console.imported and Fault.HOSTILE_OUTPUT in self._router.faults:
            self._output.insert(0, HOSTILE_BYTES.decode("utf-8", "surrogateescape"))
            self._output.append(HOSTILE_BYTES.decode("utf-8", "surrogateescape"))
        return status

    async def _ask(self, question: str) -> bool:
        match self._router.behaviour.questions:
            case Question.YES:
                return True
            case Question.NO:
                return False
            case Question.WAITS:
                self._output.append(question)
                await self._send_written()
                await asyncio.Event().wait()  # until the session is closed, or the job is removed
                return False

    async def _run(self, console: Console, source: bytes) -> int:
        behaviour = self._router.behaviour
        try:
            await console.run(source)
        except ScriptSyntaxError as error:
            console.write(f"{error}\n")
            return self._router.parse_error_status
        except RunError as error:
            console.write(error.text(with_path=self._router.version.error_paths) + "\n")
            return behaviour.import_error_status if error.path in _IMPORT_LABELS else behaviour.run_error_status
        except Quit:
            pass
        return 0

    def _take(self) -> bytes:
        """What was written and not yet sent, with the line ends of the wire."""
        if self._router.behaviour.log_on_exec:
            self._output += self._new_alarms()
        text = "".join(self._output)
        self._output.clear()
        return text.replace("\r\n", "\n").replace("\n", "\r\n").encode("utf-8", "surrogateescape")

    def _new_alarms(self) -> list[str]:
        """Critical log lines as a terminal shows them: ``10:11:12 echo: system,error,critical login failure ...``."""
        fresh = [line for line in self._router.log if line.id > self._logged and "critical" in line.topics]
        self._logged = fresh[-1].id if fresh else self._logged
        return [f"{line.moment:%H:%M:%S} echo: {line.topics} {line.message}\n" for line in fresh]

    async def _send_written(self) -> None:
        """Send and wait until the client took it; a command that survives its session writes to nobody."""
        data = self._take()
        channel = self._channel()
        if data and channel is not None:
            channel.write(data)
            with suppress(OSError, asyncssh.Error):  # the session ended while we waited
                await self.drain(None)

    def _finish(self, status: int | None) -> None:
        """Send the rest, the exit status if there is one, and the close."""
        channel = self._channel()
        if channel is None:
            return
        data = self._take()
        if self._router.behaviour.last_line_lf and data.endswith(b"\r\n"):
            data = data[:-2] + b"\n"
        channel.write(data)
        if status is None or not self._router.behaviour.sends_status:
            channel.close()
        elif channel.get_write_buffer_size() and self._router.behaviour.window_overflow_drops:
            # asyncssh would wait until the client opens its window; RouterOS does not, and drops the rest.
            channel.send_packet(MSG_CHANNEL_REQUEST, String("exit-status"), Boolean(False), UInt32(status))
            channel.abort()
        else:
            channel.exit(status)

    def _after_reboot(self) -> None:
        match self._router.behaviour.reboot_ends_channel:
            case ChannelEnd.STATUS_0:
                self._finish(0)
            case ChannelEnd.NO_STATUS:
                self._finish(None)
            case ChannelEnd.SILENT:
                pass


class _ShellLine:
    """A session as a shell needs it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def send(self, data: bytes) -> None:
        channel = self._session._channel()
        if channel is not None:
            channel.write(data)

    async def drain(self) -> None:
        with suppress(OSError, asyncssh.Error):
            await self._session.drain(None)

    def cut(self) -> None:
        self._session._wire.cut()

    def silence(self) -> None:
        self._session._wire.silence()

    @property
    def started(self) -> list[Job]:
        return self._session._started

    def rebooted(self) -> None:
        self._session._after_reboot()

    def job(self, command: str, task: asyncio.Task[None] | None) -> AbstractContextManager[None]:
        return router_job(self._session._router, self._session._user, command, task)

"""Processes of a Python module that has its libraries already: `python -m MODULE`, without the second that importing takes.

Importing is most of a daemon's start, and the tests start hundreds. A server process imports the program once and forks; each
fork is a process of its own, with its own number, environment, working directory and standard streams, that runs the module
and ends as Python ends. It differs from one that was executed in its command line and in what it shares of memory; who looks at
those, or at how the interpreter starts, executes one (`start_daemon(executed=True)`, and whoever calls the operating system).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_STREAMS = 3
_LONGEST = 1 << 18  # bytes of a request
_NUMBER = struct.Struct("=i")


class ForkedProcess:
    """What the tests use of `asyncio.subprocess.Process`."""

    def __init__(self, pid: int, handle: int, ending: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        """The exit code; -N when signal N ended it, None while it runs."""
        self._handle = handle  # a pidfd: a number may be given to another process
        self._ending = ending
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(ending, self._end)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._ending)
        said = self._ending.recv(_NUMBER.size)
        self._ending.close()
        os.close(self._handle)
        if said:
            (self.returncode,) = _NUMBER.unpack(said)
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None, "the fork server died, so nobody knows how its processes ended"
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self._ended.is_set():
            raise ProcessLookupError
        signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def fork(module: str, *arguments: str, stderr: int, env: Mapping[str, str]) -> ForkedProcess:
    """Run `python -m MODULE ARGUMENTS` in a fork that inherits stdin and stdout, writes its stderr to a descriptor."""
    here, there = socket.socketpair()
    here.setblocking(False)
    request = {"module": module, "arguments": arguments, "env": dict(env), "cwd": str(Path.cwd())}
    with there:
        socket.send_fds(_server(), [json.dumps(request).encode()], [0, 1, stderr, there.fileno()])
    started = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(here, started.set_result, None)
    try:
        await started
    finally:
        asyncio.get_running_loop().remove_reader(here)
    said, (handle,), _, _ = socket.recv_fds(here, _NUMBER.size, 1)
    (pid,) = _NUMBER.unpack(said)
    return ForkedProcess(pid, handle, here)


_running: list[socket.socket] = []


def _server() -> socket.socket:
    """The connection to this process's server, which ends with it."""
    if not _running:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.fork_server", str(theirs.fileno())], pass_fds=[theirs.fileno()], cwd=_ROOT
            )
        _running.append(ours)

        def end() -> None:
            ours.close()
            process.wait(10)

        atexit.register(end)
    return _running[0]


def _import_all() -> None:
    """Import every module of the program, which is what its processes load in the end."""
    import tminus.__main__  # noqa: PLC0415 - only in the server's process; sets the filter of warnings

    for module in pkgutil.walk_packages(tminus.__path__, "tminus."):
        importlib.import_module(module.name)
    # Each fork runs it anew.
    del sys.modules["tminus.__main__"]


def _serve(control: socket.socket) -> tuple[str, list[str]]:
    """Fork for each request. Returns in the forks alone, with their module and arguments; the server's process ends here."""
    children: dict[int, tuple[int, int]] = {}  # handle -> number of the process, and who asked for it
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    while True:
        for ready, _ in waiting.poll():
            if ready in children:
                pid, asker = children.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                waiting.unregister(ready)
                os.close(ready)
                with contextlib.suppress(OSError):  # who asked is gone
                    os.write(asker, _NUMBER.pack(code))
                os.close(asker)
                continue
            said, descriptors, _, _ = socket.recv_fds(control, _LONGEST, _STREAMS + 1)
            if not said:
                raise SystemExit
            request = json.loads(said)
            assert threading.active_count() == 1, "a thread would not be in the forks, and what it holds would"
            pid = os.fork()
            if not pid:
                control.detach()
                _become(descriptors[:_STREAMS], request["env"], request["cwd"])
                return request["module"], request["arguments"]
            asker = descriptors.pop()
            for descriptor in descriptors:
                os.close(descriptor)
            handle = os.pidfd_open(pid)
            children[handle] = pid, asker
            waiting.register(handle, select.POLLIN)
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(asker)) as connection:
                socket.send_fds(connection, [_NUMBER.pack(pid)], [handle])


def _become(streams: list[int], env: Mapping[str, str], cwd: str) -> None:
    """Have nothing of the server's but its memory."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(_STREAMS, 1 + max(int(name) for name in os.listdir("/proc/self/fd")))
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    os.chdir(cwd)


if __name__ == "__main__":
    _import_all()
    module_, arguments_ = _serve(socket.socket(fileno=int(sys.argv[1])))
    sys.argv = [module_, *arguments_]
    runpy.run_module(module_, run_name="__main__", alter_sys=True)

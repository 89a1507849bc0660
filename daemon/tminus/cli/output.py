"""Standard output whose failures are told from those of files and connections.

An OSError says neither what it is about, nor gets through click, which makes an exit code of its own of a broken pipe. So
whatever goes wrong with the output is an error of ours from the start.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from tminus.errors import OutputClosed, OutputFailed

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def guard_stdout() -> None:
    """Let what is printed from now on raise OutputClosed or OutputFailed where it cannot be written."""
    now = sys.stdout
    if now is not sys.__stdout__ or not isinstance(now, io.TextIOWrapper):
        return  # closed, or in the hands of somebody else
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Output(now.fileno(), "wb", closefd=False)),
        encoding=now.encoding,
        errors=now.errors,
        line_buffering=now.line_buffering,
        write_through=now.write_through,
    )


class _Output(io.FileIO):
    _has_failed = False

    def write(self, data: ReadableBuffer, /) -> int:
        if self._has_failed:
            return memoryview(data).nbytes  # of what is still printed on the way out, nobody has to be told again
        try:
            return super().write(data)
        except BrokenPipeError as error:
            self._has_failed = True
            raise OutputClosed("whoever read the output has gone") from error
        except OSError as error:
            self._has_failed = True
            raise OutputFailed(f"could not write the output: {error.strerror}; it is not complete") from error

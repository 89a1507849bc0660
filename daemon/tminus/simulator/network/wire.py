"""A TCP connection that can go silent: nothing arrives, nothing leaves, and neither side is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

MAX_HELD_BYTES = 1 << 20  # what the network would send again once it works; more is lost


class SilentTransport(asyncio.Transport):
    """Passes everything on, except while silent: then what is written is kept, as TCP keeps what is not acknowledged.

    ``checked`` is asked before each write, so that a change of the configuration is in force before the next byte.
    """

    def __init__(self, raw: asyncio.Transport, checked: Callable[[], None]) -> None:
        super().__init__()
        self._raw = raw
        self._checked = checked
        self._held: list[bytes] = []
        self._size = 0
        self.silent = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._checked()
        if not self.silent:
            self._raw.write(data)
        elif self._size + len(data) <= MAX_HELD_BYTES:
            self._held.append(bytes(data))
            self._size += len(data)

    def resume(self) -> None:
        """Speak again, with what was to be said meanwhile."""
        self.silent = False
        held, self._held, self._size = self._held, [], 0
        for data in held:
            self._raw.write(data)

    def forget(self) -> None:
        """Drop what was kept: the router has given the connection up."""
        self._held.clear()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return cast(object, self._raw.get_extra_info(name, default))

    def is_closing(self) -> bool:
        return self._raw.is_closing()

    def close(self) -> None:
        if not self.silent:  # a close that cannot be heard
            self._raw.close()

    def abort(self) -> None:
        if not self.silent:
            self._raw.abort()

    def pause_reading(self) -> None:
        self._raw.pause_reading()

    def resume_reading(self) -> None:
        self._raw.resume_reading()

    def is_reading(self) -> bool:
        return self._raw.is_reading()

    def get_write_buffer_size(self) -> int:
        return self._raw.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._raw.set_write_buffer_limits(high, low)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._raw.set_protocol(protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._raw.get_protocol()

"""Computations that may take seconds, each kind in a thread of its own: beside the event loop, and in nobody's way.

The threads that asyncio shares write what this host must not forget (acts, holds, heads of the audit trail), and look up names. A
script or an export that somebody made to take long must not keep those waiting, nor what nobody has authorized that which
somebody has. Python computes in one thread at a time, so more than one of a kind would gain nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Beside:
    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Return what `work` returns; cancelled before its turn, it is not done."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))


EXPORTS = Beside("exports")
RENDERING = Beside("rendering")
TRIALS = Beside("trials")
"""Rendering of what nobody has authorized: rehearsals and tests."""

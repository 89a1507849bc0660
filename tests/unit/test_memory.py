"""What the process frees goes back to the system, and what it was in use stays."""

from __future__ import annotations

import asyncio
import platform
import subprocess
import sys

import pytest

from tests.support import until
from tminus.ops import memory

_HOLES = """
from pathlib import Path
from tminus.ops.memory import give_back

def resident():
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

lasts = []
freed = []
for number in range(6000):  # what is freed lies between what stays
    freed.append(bytes([number % 251]) * 20_000)
    lasts.append(bytes([number % 251]) * 600)
full = resident()
freed.clear()
holed = resident()
give_back()
print(full - holed, holed - resident(), all(one == bytes([n % 251]) * 600 for n, one in enumerate(lasts)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is another one")
def test_holes_between_what_stays_are_given_back() -> None:
    said = subprocess.run([sys.executable, "-c", _HOLES], check=True, capture_output=True, text=True).stdout
    by_itself, given_back, intact = said.split()
    assert float(by_itself) < 30  # MiB of 114: else there is nothing to be done any more
    assert float(given_back) > 60
    assert intact == "True"


async def test_it_is_done_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[int] = []
    monkeypatch.setattr(memory, "give_back", lambda: times.append(len(times)))
    giving = asyncio.create_task(memory.keep_giving_back(every=0.01))

    async def twice() -> bool:
        return len(times) >= 2

    await until(twice, within=5)
    giving.cancel()

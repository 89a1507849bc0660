"""What has to hold after any trouble with the database: by the routers' own journal, the database and the intent logs."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tests.faults.invariants import TOLD, Excuses, Footprint, check_footprint, check_logs, check_runs
from tests.support import Daemon, Db, until
from tminus.simulator import Fleet

SET_BACK = TOLD | {"paused", "start_refused", "audit_trail_changed"}
"""What a daemon says at `error`, with what to do, of a database that has lost its last commits."""


def intents(*folders: Path) -> list[dict[str, Any]]:
    """All that the daemons of these folders remember."""
    files = [file for folder in folders for file in sorted((folder / "state/intents").glob("*.jsonl"))]
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def ended(db: Db, *, within: float = 40.0) -> None:
    """Wait until no site run and no launch is open."""

    async def all_ended() -> bool:
        return await db.value(
            "select not exists (select from tminus.site_runs where finished_at is null)"
            " and not exists (select from tminus.launches where finished_at is null)"
        )

    await until(all_ended, within=within)


async def bear_witness(db: Db, fleet: Fleet, *folders: Path) -> None:
    """All invariants of the runs hold, and no router was started without a trace, or for a launch that is gone."""
    found = await check_runs(db, fleet)
    assert not found, "\n".join(found)
    rows = await db.fetch("select site_id, launch_id, nonce from tminus.site_runs where executing_at is not null")
    known = {row["nonce"] for row in rows} | {intent["nonce"] for intent in intents(*folders)}
    for site in fleet.sites:
        starts = fleet.journal.starts(site.id)
        launched = len({row["launch_id"] for row in rows if row["site_id"] == site.id})
        assert len(starts) <= max(launched, 1), (site.id, starts)
        for start in starts:
            nonce = str(start.facts["name"]).removeprefix("tminus-").removesuffix(".rsc")
            assert nonce in known, f"{site.id} was started and nobody knows of it"


async def ready(daemon: Daemon, *, within: float = 30.0) -> None:
    async def is_ready() -> bool:
        return (await daemon.get("/readyz"))[0] == 200

    await until(is_ready, within=within)


async def not_ready(daemon: Daemon, saying: str, *, within: float = 30.0) -> None:
    async def says_so() -> bool:
        code, said = await daemon.get("/readyz")
        return code == 503 and saying in said

    await until(says_so, within=within)


async def holds(daemon: Daemon) -> Footprint:
    """What its process holds now, for `tidy`."""
    return Footprint.of(daemon.process.pid, await daemon.metrics())


async def tidy(daemon: Daemon, fleet: Fleet, before: Footprint | None = None, *, told: Collection[str] = TOLD) -> None:
    """Nothing broke in the process, no secret was told, and what it held `before` is what it holds once more."""
    key = fleet.client_key.export_private_key().decode().splitlines()[1]
    secrets = (fleet.spec.password, key, "PRIVATE KEY")
    found = check_logs([daemon.log_file], secrets=secrets, excuses=Excuses(told=told))
    assert not found, "\n".join(found)
    if before is None:
        return

    async def gave_back() -> bool:
        nonlocal found
        metrics = await daemon.metrics()
        found = check_footprint(before, Footprint.of(daemon.process.pid, metrics), metrics["tminus_sessions"])
        return not found

    with contextlib.suppress(AssertionError):  # told below, with what it still holds
        await until(gave_back, within=10)
    assert not found, "\n".join(found)

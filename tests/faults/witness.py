"""What has to hold after any trouble with the database: by the routers' own journal, the database and the intent logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support import Daemon, Db, until
from tminus.simulator import Fleet, Kind

_PROVED_UNSTARTED = {"none"}


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
    """Every site run ended; none was started twice, or without a trace, or called something that its router denies."""
    rows = await db.fetch("select * from tminus.site_runs")
    remembered = {intent["nonce"] for intent in intents(*folders)}
    known = {row["nonce"] for row in rows if row["executing_at"] is not None}
    for site in fleet.sites:
        starts = fleet.journal.starts(site.id)
        runs = [row for row in rows if row["site_id"] == site.id]
        launched = len({row["launch_id"] for row in runs if row["executing_at"] is not None})
        assert len(starts) <= max(launched, 1), (site.id, starts)
        for start in starts:
            nonce = str(start.facts["name"]).removeprefix("tminus-").removesuffix(".rsc")
            assert nonce in known | remembered, f"{site.id} was started and nobody knows of it"
        finished = [e.facts["outcome"] for e in fleet.journal.events(site.id, Kind.IMPORT_FINISHED)]
        for row in runs:
            assert row["finished_at"] is not None, row
            if row["state"] == "completed":
                assert "ok" in finished, row
            if row["effect"] in _PROVED_UNSTARTED and row["nonce"] is not None:
                assert not any(row["nonce"] in str(start.facts["name"]) for start in starts), row


async def ready(daemon: Daemon, *, within: float = 30.0) -> None:
    async def is_ready() -> bool:
        return (await daemon.get("/readyz"))[0] == 200

    await until(is_ready, within=within)


async def not_ready(daemon: Daemon, saying: str, *, within: float = 30.0) -> None:
    async def says_so() -> bool:
        code, said = await daemon.get("/readyz")
        return code == 503 and saying in said

    await until(says_so, within=within)


def tidy(daemon: Daemon) -> None:
    """Nothing broke in the process, and no secret was told."""
    text = daemon.log_file.read_text()
    assert "Task was destroyed" not in text
    assert "PRIVATE KEY" not in text
    assert not [event for event in daemon.log() if event["event"] in ("site_run_broke", "orphan_broke", "launch_broke")]

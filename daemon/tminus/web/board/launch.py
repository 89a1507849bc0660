"""A launch: its waves as a grid of sites, what they came to in groups, and one site run with all that is kept of it."""

from __future__ import annotations

import json
from itertools import groupby
from uuid import UUID

import asyncpg
from aiohttp import web
from markupsafe import Markup, escape

from tminus.domain.words import visible
from tminus.store.pool import statement
from tminus.web.board import cells
from tminus.web.board.page import Groups, Visit, plain, row, rows
from tminus.web.board.rendering import clip
from tminus.web.board.signing import to_sign
from tminus.web.problems import Code, Problem

_GROUPS = 40
_RUNS = 100
_SHOWN = 60_000  # characters of a text
_DENSE = 400  # sites, above which their cells are small


async def show(visit: Visit) -> web.StreamResponse:
    launch_id = visit.uuid("launch_id")
    outcome, site = visit.one_of("outcome", *cells.OUTCOMES), visit.asked("site")
    (after,) = _numbers(visit, "after")
    async with visit.db.transaction("show a launch") as transaction:
        await transaction.execute("set transaction isolation level repeatable read, read only")
        launch = await _launch(transaction, launch_id)
        letters = await transaction.fetchval("select tminus.cells($1)", launch_id)
        grid = await rows(transaction, "launch_grid", launch_id)
        facts = _facts(launch, letters)
        signing = await to_sign(visit, transaction, launch, may_retry=bool(facts["may_retry"]))
        listed = (
            await rows(transaction, "launch_runs", launch_id, outcome, site, _RUNS + 1, after)
            if outcome or site
            else []
        )
    return visit.page(
        "launch.html",
        {
            **facts,
            "signing": signing,
            "grid": _grid(grid, letters),
            "is_dense": len(letters) > _DENSE,
            **_shown(launch, await _groups(visit, launch_id)),
            "listed": listed[:_RUNS],
            "next_after": listed[_RUNS - 1]["position"] if len(listed) > _RUNS else None,
            "outcome": outcome,
            "site": site,
        },
    )


async def show_parts(visit: Visit) -> web.StreamResponse:
    """What a page fetches anew when its launch has moved on: all but the grid."""
    launch_id = visit.uuid("launch_id")
    async with visit.db.transaction("show a launch") as transaction:
        launch = await _launch(transaction, launch_id)
        letters = await transaction.fetchval("select tminus.cells($1)", launch_id)
        facts = _facts(launch, letters)
        signing = await to_sign(visit, transaction, launch, may_retry=bool(facts["may_retry"]))
    shown = _shown(launch, await _groups(visit, launch_id))
    return visit.page("launch_parts.html", {**facts, **shown, "signing": signing})


async def _launch(transaction: asyncpg.pool.PoolConnectionProxy, launch_id: UUID) -> asyncpg.Record:
    launch = await row(transaction, "launch_page", launch_id)
    if launch is None:
        raise Problem(Code.NOT_FOUND, f"there is no launch {launch_id}")
    return launch


def _facts(launch: asyncpg.Record, letters: str) -> dict[str, object]:
    counts = cells.counts(letters)
    return {
        "launch": launch,
        "counts": counts,
        "sites": len(letters) or launch["sites"],
        "ready": cells.ready(letters),
        "may_retry": launch["finished_at"] is not None
        and launch["state"] in ("finished", "halted")
        and launch["kind"] in ("scheduled", "retry")
        and launch["retried_as"] is None
        and counts["failed"] + counts["skipped"] > 0,
    }


async def _groups(visit: Visit, launch_id: UUID) -> Groups:
    """Return what the sites came to, one answer for all who look: of ten thousand outputs it takes a while."""

    async def make() -> Groups:
        async with visit.db.transaction("group the sites of a launch") as transaction:
            await transaction.execute("set transaction isolation level repeatable read, read only")
            letters = await transaction.fetchval("select tminus.cells($1)", launch_id)
            groups = await rows(transaction, "launch_groups", launch_id, _GROUPS)
        return Groups(groups=groups, ended=cells.ended(letters))

    return await visit.groups.get(launch_id, make)


def _shown(launch: asyncpg.Record, found: Groups) -> dict[str, object]:
    """Return the groups, and of which moment they are, in the words of the script of the page: it fetches later ones if need be."""
    now = [
        launch["state"],
        launch["wave"],
        launch["paused_at"] is not None,
        bool(launch["waits"]),
        launch["finished_at"] is not None,
    ]
    return {"groups": found.groups, "most": _GROUPS, "seen": json.dumps([*now, found.ended], separators=(",", ":"))}


def _grid(grid: list[asyncpg.Record], letters: str) -> list[tuple[int, Markup]]:
    """Return each wave with the elements of its sites: one short link each, whose title is its name for everybody who cannot see it."""
    waves = []
    place = 0
    for wave, members in groupby(grid, key=lambda each: each["wave"]):
        parts = []
        for each in members:
            letter = letters[place]
            place += 1
            name = escape(visible(each["site_id"]))
            parts.append(f'<a class={letter} href=/board/runs/{each["id"]} title="{name}: {cells.WORDS[letter]}"></a>')
        waves.append((wave, Markup("\n".join(parts))))  # noqa: S704 - escaped above; ten thousand times through a template is slow
    return waves


async def show_run(visit: Visit) -> web.StreamResponse:
    run_id = visit.number("site_run_id")
    async with visit.db.transaction("show a site run") as transaction:
        run = await row(transaction, "site_run_page", run_id, _SHOWN)
        if run is None:
            raise _no_run(run_id)
        backups = await rows(transaction, "list_backups", None, run_id, 10)
    return visit.page(
        "run.html",
        {
            "run": run,
            "backups": backups,
            "output": clip(run["output"], length=run["output_length"]),
            "diff": clip(run["diff"], length=run["diff_length"]),
            "evidence": clip(run["evidence"]),
        },
    )


async def show_output(visit: Visit) -> web.StreamResponse:
    return await _whole(visit, "output")


async def show_diff(visit: Visit) -> web.StreamResponse:
    return await _whole(visit, "diff")


async def _whole(visit: Visit, what: str) -> web.StreamResponse:
    run_id = visit.number("site_run_id")
    async with visit.db.transaction(f"read the {what} of a site run") as transaction:
        found = await transaction.fetchrow(statement("site_run_texts"), run_id)
    if found is None:
        raise _no_run(run_id)
    if found[what] is None:
        raise Problem(Code.NOT_FOUND, f"no {what} of site run {run_id} is kept (state: {found['state']})")
    return plain(visible(found[what]))


def _no_run(run_id: int) -> Problem:
    return Problem(Code.NOT_FOUND, f"there is no site run {run_id}")


def _numbers(visit: Visit, *names: str) -> list[int | None]:
    found: list[int | None] = []
    for name in names:
        text = visit.asked(name)
        if text is not None and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Problem(Code.INVALID, f"{name} is a number")
        found.append(None if text is None else int(text))
    return found

"""A scheduled script, with all that somebody has to see who authorizes it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from tminus.domain.review import Review, ShownSite, changes, differences, facts, lines_between, script_diff
from tminus.domain.variables import names_in
from tminus.routeros.lint import Finding, from_json
from tminus.routeros.post_checks import render
from tminus.routeros.rendering import RenderingRefused
from tminus.store.pool import Transaction
from tminus.store.review import read_review
from tminus.web.board.page import Visit, row, rows
from tminus.web.problems import Code, Problem

_LAUNCHES = 20
_SITES = 50
_DIFF = 400  # lines
_RENDER_FOR = 1.5  # seconds, which is enough for hundreds of sites
_NO_CURSOR = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    number: int
    text: str
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """What one site is given, and on which sites nothing would be run."""

    site: str
    text: str | None
    refused: Sequence[tuple[str, str]]
    looked_at: int


async def show(visit: Visit) -> web.StreamResponse:
    script_id = visit.uuid("script_id")
    return await _show(visit, script_id)


async def show_stale(visit: Visit, script_id: UUID, digest: str) -> web.StreamResponse:
    """Show what there is now instead of what somebody wanted to authorize, and in what the two differ. Nothing was authorized."""
    return await _show(visit, script_id, stale=digest)


async def _show(visit: Visit, script_id: UUID, *, stale: str | None = None) -> web.StreamResponse:
    async with visit.db.transaction("show a scheduled script") as transaction:
        await transaction.execute("set transaction isolation level repeatable read, read only")
        review = await read_review(transaction, script_id)
        if review is None:
            raise Problem(Code.NOT_FOUND, f"there is no scheduled script {script_id}")
        beside = await row(transaction, "script_page", script_id)
        launches = await rows(
            transaction, "search_launches", None, None, None, None, None, None, *_NO_CURSOR, _LAUNCHES, script_id
        )
        command = await _statement(visit, transaction, review)
        clock = await transaction.fetchval("select tminus.clock()")
    assert beside is not None  # noqa: S101 - the review is of the same row, in the same snapshot
    findings = None if review.findings is None else from_json(json.loads(review.findings))
    asked_site = visit.asked("site")
    rendering = await asyncio.to_thread(_render, review, asked_site)
    before = None if stale is None else visit.seen.reviews.get(stale)
    visit.seen.keep(review)
    since_authorized = await asyncio.to_thread(script_diff, review)
    since_seen = (
        [] if before is None else await asyncio.to_thread(lines_between, before.script, review.script, "what you saw")
    )
    # Each line is shown, and there may be half a million: others are answered meanwhile.
    return await asyncio.to_thread(
        visit.page,
        "review.html",
        {
            "review": review,
            "facts": facts(review),
            "beside": beside,
            "clock": clock,
            "findings": findings,
            "lines": await asyncio.to_thread(_lines, review.script, findings or ()),
            "sites": list(review.sites) if visit.asked("all") else _chosen(review, asked_site),
            "summary_of_sites": _summary_of_sites(review),
            "zones": Counter((site.local_time or "", site.zone) for site in review.sites).most_common(12),
            "rendering": rendering,
            "changes": changes(review),
            "script_diff": since_authorized[:_DIFF],
            "launches": launches,
            "command": command,
            "asked_site": asked_site,
            "stale": stale,
            "before": before,
            "stale_changes": [] if before is None else differences(before, review),
            "stale_diff": since_seen[:_DIFF],
            "is_own": visit.session.person.name in (review.created_by, review.updated_by),
        },
        status=200 if stale is None else 409,
    )


async def _statement(visit: Visit, transaction: Transaction, review: Review) -> str | None:
    """Return what is signed, where daemons ask for a signature and this person may authorize."""
    if not review.signature_required_by or review.status != "unauthorized" or not visit.may("script:authorize"):
        return None
    found = await row(transaction, "statement", review.id, visit.session.person.name, None)
    return None if found is None else str(found["statement"])


def _lines(script: str, findings: Sequence[Finding]) -> list[Line]:
    at: dict[int, list[Finding]] = defaultdict(list)
    for each in findings:
        at[each.line].append(each)
    texts = script.rstrip("\n").split("\n")
    return [Line(number=number, text=text, findings=at.get(number, ())) for number, text in enumerate(texts, 1)]


def _chosen(review: Review, asked: str | None) -> list[ShownSite]:
    """Return the sites that are listed: the first, those that somebody should look at, or those that were searched for."""
    if asked is not None:
        return [site for site in review.sites if asked.lower() in site.id.lower()][:_SITES]
    if len(review.sites) <= _SITES:
        return list(review.sites)
    odd = [
        s
        for s in review.sites
        if not s.enabled
        or s.last_seen is None
        or s.part.host_key is None
        or s.part.sensitive_export
        or s.part.return_address is not None
        or s.since_last in ("changed", "added")
    ]
    return odd[:_SITES] or list(review.sites[:_SITES])


def _summary_of_sites(review: Review) -> list[tuple[int, str]]:
    counted = [
        (sum(site.last_seen is None for site in review.sites), "never seen"),
        (sum(site.part.host_key is None for site in review.sites), "without a pinned key"),
        (sum(site.part.sensitive_export for site in review.sites), "with secrets in their exports"),
        (sum(site.part.return_address is not None for site in review.sites), "that may return at another address"),
        (sum(not site.enabled for site in review.sites), "disabled"),
        (
            sum(site.since_last in ("changed", "added") for site in review.sites),
            "changed or added since the last authorization",
        ),
    ]
    return [(count, what) for count, what in counted if count]


def _render(review: Review, asked: str | None) -> Rendering | None:
    """Put the values of sites into the script, as far as there is time; None where the script names no variables."""
    if not names_in(review.row.code) and not any(site.variables for site in review.sites):
        return None
    script, checks = review.script.encode(), [check.encode() for check in review.row.post_checks]
    refused: list[tuple[str, str]] = []
    shown: tuple[str, str] | None = None
    looked_at, until = 0, time.monotonic() + _RENDER_FOR
    # The site that was asked for comes first, whatever its place.
    for site in sorted(review.sites, key=lambda each: each.id != asked):
        if time.monotonic() > until:
            break
        looked_at += 1
        try:
            rendered = render(script, checks, dict(site.variables))
        except RenderingRefused as error:
            refused.append((site.id, str(error)))
            continue
        if shown is None:
            afterwards = "".join(
                f"\n# true afterwards: {check.decode('utf-8', 'replace')}" for check in rendered.checks
            )
            shown = site.id, rendered.script.decode("utf-8", "replace").rstrip("\n") + afterwards
    return Rendering(
        site=shown[0] if shown else "", text=shown[1] if shown else None, refused=refused, looked_at=looked_at
    )

"""How what an approver has to see before authorizing is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from tminus.cli import screen
from tminus.cli.findings import show_stored
from tminus.domain.review import BACKUP, SAME_KEY, UNSERVED, Review, changes, facts, launch_time, script_diff
from tminus.domain.variables import names_in
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg
    from rich.console import RenderableType

__all__ = ["Review", "launch_time", "print_facts", "read_review", "show_review"]

_SITES_SHOWN = 20
_DIFF_SHOWN = 200  # lines


async def read_review(connection: asyncpg.Connection, script_id: UUID) -> Review:
    """Read what would be authorized. UsageError: there is none. StoreError: the database contradicts itself."""
    from tminus.store.review import read_review as read

    review = await read(connection, script_id)
    if review is None:
        raise UsageError(f"there is no scheduled script {script_id}")
    return review


def print_facts(*pairs: tuple[str, RenderableType]) -> None:
    shown = screen.facts()
    for name, value in pairs:
        shown.add_row(name, screen.text(value) if isinstance(value, str) else value)
    screen.console().print(shown)


def show_review(review: Review) -> None:
    """Print all that the digest covers, and what helps to judge it."""
    console, row = screen.console(), review.row
    print_facts(
        *(
            (
                name,
                screen.text(value, "bold red")
                if (name, value) == (BACKUP, "no") or name in (UNSERVED, SAME_KEY)
                else value,
            )
            for name, value in facts(review)
        ),
        (screen.plural(len(review.sites), "site"), _sites(review)),
        ("summary", review.summary or "none yet"),
        *(
            [("signature", f"asked for by {', '.join(review.signature_required_by)}")]
            if review.signature_required_by
            else []
        ),
        ("digest", review.digest),
    )
    show_stored(review.findings, review.script, row.site_timeout, row.post_checks, summary=review.summary)
    _show_changes(review)
    screen.rule(console, "script")
    console.print(screen.text(review.script.rstrip("\n")), soft_wrap=True)
    screen.rule(console)
    _show_rendering(review)
    if screen.hides_something(row.code):
        console.print(
            screen.text(
                "The script has characters that are not seen: they are written as \\x1b or \\u202e above.", "bold red"
            )
        )


def _sites(review: Review) -> str:
    lines = [site.line() for site in review.sites[:_SITES_SHOWN]]
    more = len(review.sites) - _SITES_SHOWN
    if more > 0:
        never = sum(site.last_seen is None for site in review.sites)
        unpinned = sum(site.part.host_key is None for site in review.sites)
        disabled = sum(not site.enabled for site in review.sites)
        counted = [(never, "never seen"), (unpinned, "without a pinned key"), (disabled, "disabled")]
        said = "".join(f", {count} {what}" for count, what in counted if count)
        lines.append(
            f"… and {more} more: 'tminus review {review.id} --all' lists them (of all{said or ', each was seen'})"
        )
    return "\n".join(lines)


def _show_rendering(review: Review) -> None:
    """Print what the first site is given, and on which sites nothing would be run."""
    from tminus.routeros.post_checks import render
    from tminus.routeros.rendering import RenderingRefused

    if not any(site.variables for site in review.sites) and not names_in(review.row.code):
        return
    console, refused, shown = screen.console(), [], False
    for site in review.sites:
        try:
            rendered = render(
                review.script.encode(), [check.encode() for check in review.row.post_checks], dict(site.variables)
            )
        except RenderingRefused as error:
            refused.append(f"On {site.id} nothing would be run: {error}")
            continue
        if not shown:
            shown = True
            console.print(screen.text(f"As {site.id} is given it ('tminus render {review.id} SITE' shows others):"))
            console.print(screen.text(rendered.script.decode().rstrip("\n")), soft_wrap=True)
            for check in rendered.checks:
                console.print(screen.text(f"true afterwards: {check.decode()}"), soft_wrap=True)
            screen.rule(console)
    for line in refused[:_SITES_SHOWN]:
        console.print(screen.text(line, "bold red"), soft_wrap=True)
    if len(refused) > _SITES_SHOWN:
        console.print(screen.text(f"… and on {len(refused) - _SITES_SHOWN} more", "bold red"))


def _show_changes(review: Review) -> None:
    """Print what differs from what was authorized last."""
    last = review.last
    if last is None:
        return
    console = screen.console()
    screen.rule(console, f"since {screen.one_line(last.by, 60)} authorized it at {last.at[:16].replace('T', ' ')} UTC")
    said = changes(review)
    if not said and "script" not in last.changed:
        console.print("Nothing was changed.")
    for line in said:
        console.print(screen.text(line), soft_wrap=True)
    if "script" in last.changed and last.script is not None:
        diff = script_diff(review)
        shown = "\n".join(screen.visible(line) for line in diff[:_DIFF_SHOWN])
        console.print(screen.coloured_diff(shown), soft_wrap=True)
        if len(diff) > _DIFF_SHOWN:
            console.print(f"… and {len(diff) - _DIFF_SHOWN} lines more")

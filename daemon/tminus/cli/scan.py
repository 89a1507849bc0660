"""Look at many routers at once, show what they are and what would stop a run, and accept it in one go."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, asynchronous, print_json
from tminus.cli.inputs import WholeNumber
from tminus.cli.outdated import warn_of_outdated
from tminus.errors import UsageError

if TYPE_CHECKING:
    import asyncpg

    from tminus.services.scanner import Finding

_FACTS = ("identity", "model", "serial", "version")
_CSV = (
    "id", "address", "port", "key", "host_key", "fingerprint", "known_fingerprint", *_FACTS, "free_space", "device_mode",
    "differences", "problems", "notes", "unknown", "trouble", "accepted",
)  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Row:
    """One site as it is shown: what was found, beside what is known."""

    finding: Finding
    known: asyncpg.Record
    # Another site that this router is already, by its serial number.
    twin: str | None = None
    accepted: bool = False

    @property
    def id(self) -> str:
        return self.finding.site.id

    @property
    def facts(self) -> dict[str, str | None]:
        survey = self.finding.survey
        if survey is None:
            return dict.fromkeys(_FACTS)
        return {
            "identity": survey.facts.identity,
            "model": survey.model,
            "serial": survey.serial,
            "version": survey.facts.version.text,
        }

    @property
    def key_changed(self) -> bool:
        from tminus.services.scanner import KeyState

        return self.finding.key is KeyState.CHANGED

    @property
    def device_changed(self) -> bool:
        """Another device answers: its serial number is not the known one."""
        known = self.known["serial"]
        return self.finding.survey is not None and known is not None and self.facts["serial"] != known

    @property
    def pinned(self) -> bool:
        from tminus.services.scanner import KeyState

        return self.finding.key is KeyState.PINNED or self.accepted

    @property
    def differences(self) -> list[str]:
        found = [
            f"{name} was {self.known[name]}"
            for name, value in self.facts.items()
            if self.known[name] is not None and value != self.known[name] and self.finding.survey is not None
        ]
        return ["the host key was another", *found] if self.key_changed else found

    @property
    def problems(self) -> list[str]:
        readiness = self.finding.readiness
        problems = list(readiness.problems) if readiness else []
        if self.twin is not None:
            problems.insert(0, f"this router is site {self.twin} already (serial number {self.facts['serial']})")
        elif self.device_changed and not self.accepted:
            problems.insert(0, "another device answers here than before (its serial number is another)")
        return problems

    @property
    def ready(self) -> bool:
        return self.pinned and self.finding.trouble is None and not self.problems

    def acceptable(self, changed: frozenset[str], *, accept: bool) -> bool:
        """Whether what was found is to be written. What has changed needs to be named; a twin is never written."""
        if self.finding.presented is None or self.twin is not None:
            return False
        return self.id in changed if self.key_changed or self.device_changed else accept

    def document(self) -> dict[str, object]:
        finding, known = self.finding, self.known
        readiness, survey = finding.readiness, finding.survey
        return {
            "id": self.id,
            "address": known["address"],
            "port": known["port"],
            "key": str(finding.key),
            "host_key": finding.presented.text if finding.presented else None,
            "fingerprint": finding.presented.fingerprint if finding.presented else None,
            "known_fingerprint": _fingerprint(finding.site.host_key),
            **self.facts,
            "free_space": survey.free_space if survey else None,
            "device_mode": survey.device_mode if survey else None,
            "differences": self.differences,
            "problems": self.problems,
            "notes": list(readiness.notes) if readiness else [],
            "unknown": list(readiness.unknown) if readiness else [],
            "trouble": finding.trouble,
            "accepted": self.accepted,
        }


@click.command()
@click.argument("sites", metavar="[SITES]...", nargs=-1)
@click.option("--tag", help="The enabled sites with this tag.")
@click.option("--all", "everything", is_flag=True, help="All enabled sites.")
@click.option("--accept", is_flag=True, help="Pin new keys and keep what was found. On a terminal you are asked first.")
@click.option(
    "--accept-changed",
    metavar="SITE",
    multiple=True,
    help="Accept that this site has another key or device; repeat it.",
)
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@click.option("--at-once", type=WholeNumber(1, 1000), default=50, show_default=True, help="How many side by side.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet.")
@as_json_option
@asynchronous
async def scan(
    context: Context,
    sites: tuple[str, ...],
    *,
    tag: str | None,
    everything: bool,
    accept: bool,
    accept_changed: tuple[str, ...],
    yes: bool,
    at_once: int,
    as_csv: bool,
    as_json: bool,
) -> None:
    """Log in to many routers, show what they are, and say what would stop a run.

    Nothing is run and nothing is written on a router. A host whose key is not the pinned one gets no credential; where no
    key is pinned yet, a login by key is tried and one by password is not. The exit code is 0 if all sites are ready.
    """
    if (bool(sites), tag is not None, everything).count(True) != 1:
        raise UsageError("say which sites: name them, or give --tag TAG, or --all")
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other")
    changed = frozenset(accept_changed)
    from tminus.services.scanner import scan as look_at_all

    known = await _known(context, sites, tag)
    if strangers := sorted(changed - known.keys()):
        raise UsageError(f"--accept-changed names site {strangers[0]!r}, which is not among the scanned ones")
    found: dict[str, Finding] = {}
    from tminus.app import open_contact
    from tminus.settings import credentials_base
    from tminus.store.site_runs import read_site

    settings = context.settings
    async with open_contact(settings, credentials_base(context.config_file)) as contact:
        await look_at_all(
            contact,
            [read_site(row) for row in known.values()],
            at_once=at_once,
            timeout=settings.command_timeout,
            found=lambda finding: found.__setitem__(finding.site.id, finding),
        )
    rows = [Row(finding=found[site_id], known=row) for site_id, row in known.items()]
    await _find_twins(context, rows)
    wanted = [row for row in rows if row.acceptable(changed, accept=accept)]
    asks = bool(wanted) and not yes and sys.stdin.isatty() and sys.stdout.isatty()
    if asks:
        _print(rows, as_csv=as_csv, as_json=as_json)
    if wanted:
        await _accept(context, wanted, asks=asks)
    if not asks:
        _print(rows, as_csv=as_csv, as_json=as_json)
    _summarize(rows)
    sys.exit(0 if all(row.ready for row in rows) else 1)


async def _known(context: Context, sites: tuple[str, ...], tag: str | None) -> dict[str, asyncpg.Record]:
    from tminus.store.pool import statement

    async with context.connect() as connection:
        rows = await connection.fetch(statement("scan_sites"), list(sites) or None, tag)
    known = {row["site_id"]: row for row in rows}
    for site in sites:
        if site not in known:
            raise UsageError(f"there is no site {site!r}; 'tminus site list' lists them")
    if not known:
        raise UsageError(f"no enabled site has the tag {tag!r}" if tag else "there is no enabled site")
    return known


async def _find_twins(context: Context, rows: list[Row]) -> None:
    """Note which routers are other sites already, in the database or among what was found just now."""
    from tminus.store.pool import statement

    serials = Counter(row.facts["serial"] for row in rows if row.facts["serial"] is not None)
    async with context.connect() as connection:
        owners = {row["serial"]: row["id"] for row in await connection.fetch(statement("serials_known"), list(serials))}
    first: dict[str, str] = {}
    for row in rows:
        serial = row.facts["serial"]
        if serial is None:
            continue
        owner = owners.get(serial) or first.setdefault(serial, row.id)
        row.twin = owner if owner != row.id else None


async def _accept(context: Context, rows: list[Row], *, asks: bool) -> None:
    """Write what was accepted, after saying what that does to authorizations."""
    from tminus.store.pool import statement

    found = json.dumps([_accepted(row) for row in rows])
    async with context.connect() as connection:
        # Tried first and taken back: nobody answers a question while we hold the sites.
        trial = connection.transaction()
        await trial.start()
        await connection.fetch(statement("accept_sites"), found)
        outdated = await connection.fetch(statement("outdated_authorizations"), [row.id for row in rows])
        await trial.rollback()
        warn_of_outdated(outdated)
        count = (
            f"the authorizations of {screen.plural(len(outdated), 'scheduled script')} will not cover sites any more"
        )
        keys = sum(row.finding.presented is not None and row.known["host_key"] != _text(row) for row in rows)
        question = f"Pin {screen.plural(keys, 'key')} and keep what {screen.plural(len(rows), 'router')} said"
        if asks and not click.confirm(f"{question}{f' ({count})' if outdated else ''}?", err=True):
            return
        async with connection.transaction():
            written = {row["id"] for row in await connection.fetch(statement("accept_sites"), found)}
    for row in rows:
        row.accepted = row.id in written
        if not row.accepted:
            click.echo(f"warning: the pinned key of site {row.id} was changed meanwhile; scan it again", err=True)


def _text(row: Row) -> str | None:
    return row.finding.presented.text if row.finding.presented else None


def _accepted(row: Row) -> dict[str, str | None]:
    return {"id": row.id, "was_key": row.known["host_key"], "host_key": _text(row), **row.facts}


def _fingerprint(key: str | None) -> str | None:
    from tminus.device.hostkeys import HostKey

    if key is None:
        return None
    try:
        return HostKey.parse(key).fingerprint
    except ValueError:
        return None


def _print(rows: list[Row], *, as_csv: bool, as_json: bool) -> None:
    if as_json:
        print_json([row.document() for row in rows])
    elif as_csv:
        click.echo(_sheet(rows), nl=False)
    else:
        _print_table(rows)


def _sheet(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for row in rows:
        shown = row.document()
        writer.writerow([_cell(shown[name]) for name in _CSV])
    return text.getvalue()


def _cell(value: object) -> str:
    """Return a value as a cell that no spreadsheet takes for a formula: a router may call itself =HYPERLINK(…)."""
    text = "; ".join(value) if isinstance(value, list) else "" if value is None else screen.visible(str(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _print_table(rows: list[Row]) -> None:
    shown = screen.table(
        "site",
        "",
        "key",
        "fingerprint",
        "identity",
        "model",
        "serial",
        "version",
        "differences",
        "what would stop a run",
    )
    for row in rows:
        facts, finding = row.facts, row.finding
        style = {"pinned": "green", "changed": "bold red", "unknown": "dim"}.get(str(finding.key), "yellow")
        stops = "; ".join(filter(None, [finding.trouble, *row.problems]))
        readiness = finding.readiness
        if readiness and readiness.unknown:
            stops = "; ".join(filter(None, [stops, f"unknown: {', '.join(readiness.unknown)}"]))
        shown.add_row(
            screen.text(row.id),
            screen.text("ready", "green") if row.ready else screen.text("not ready", "red"),
            screen.text("accepted" if row.accepted else finding.key, style),
            screen.text(finding.presented or ""),
            *(screen.text(facts[name]) for name in _FACTS),
            screen.text("; ".join(row.differences)),
            screen.text(stops, "red" if finding.trouble or row.problems else ""),
        )
    screen.console().print(shown)


def _summarize(rows: list[Row]) -> None:
    keys = Counter(str(row.finding.key) for row in rows)
    ready = sum(row.ready for row in rows)
    accepted = sum(row.accepted for row in rows)
    parts = [f"{ready} of {screen.plural(len(rows), 'site')} ready"]
    if accepted:
        parts.append(f"{accepted} accepted")
    if new := sum(row.finding.key in ("new", "seen") and not row.accepted for row in rows):
        parts.append(f"{new} without a pinned key (--accept pins them)")
    if keys["changed"]:
        parts.append(f"{keys['changed']} with another key than the known one")
    if keys["unknown"]:
        parts.append(f"{keys['unknown']} not reached")
    click.echo("; ".join(parts), err=True)

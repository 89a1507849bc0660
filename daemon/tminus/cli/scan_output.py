"""How the sites of a scan are shown: as a table, for a spreadsheet, as JSON, and in one line."""

from __future__ import annotations

import csv
import io
from collections import Counter

import click

from tminus.cli import screen
from tminus.cli.common import print_json
from tminus.cli.scan_row import FACTS, Row

_CSV = (
    "id", "address", "port", "key", "host_key", "fingerprint", "known_fingerprint", *FACTS, "free_space", "device_mode",
    "differences", "problems", "notes", "unknown", "trouble", "accepted",
)  # fmt: skip


def print_rows(rows: list[Row], *, as_csv: bool, as_json: bool) -> None:
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
            *(screen.text(facts[name]) for name in FACTS),
            screen.text("; ".join(row.differences)),
            screen.text(stops, "red" if finding.trouble or row.problems else ""),
        )
    screen.console().print(shown)


def summarize(rows: list[Row]) -> None:
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

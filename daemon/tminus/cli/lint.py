"""Look at scripts before anybody submits them: would a router read them, and what should one know about them?"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import click

from tminus.cli import screen
from tminus.cli.common import as_json_option, print_json
from tminus.cli.findings import show_caret, show_findings
from tminus.cli.inputs import MAX_SCRIPT, Duration

_LONGEST = 2 * MAX_SCRIPT  # bytes; every line of a script may end in CRLF, which the database makes LF
_INVALID, _UNREADABLE = 1, 2


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--site-timeout", type=Duration(), default="10m", show_default=True, help="What the delays are held against."
)
@as_json_option
def lint(files: tuple[str, ...], *, site_timeout: timedelta, as_json: bool) -> None:
    """Look at scripts: what a router would refuse, hazards, pitfalls, and what each does in short.

    FILE is a script in any encoding, or '-' for stdin; nothing is sent anywhere. With --json there is one object a file,
    each on a line. The exit code is 0 if a router would read all of them, 1 if it would refuse one, and 2 if one cannot be
    read here.
    """
    code = 0
    for file in files:
        try:
            source = _read(file)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            why = error.strerror if isinstance(error, OSError) else str(error)
            click.echo(f"tminus: {screen.visible(file)} cannot be read: {why}", err=True)
            code = _UNREADABLE
            continue
        if not _look(file, source, site_timeout, as_json=as_json):
            code = max(code, _INVALID)
    if code:
        sys.exit(code)


def _look(file: str, source: bytes, site_timeout: timedelta, *, as_json: bool) -> bool:
    """Print what is found in one script; return whether a router would read it."""
    from tminus.routeros.lint import inspect

    seen = inspect(source, site_timeout=site_timeout)
    if as_json:
        print_json(
            {
                "file": screen.visible(file),
                "valid": seen.valid,
                "message": seen.message,
                "line": seen.line,
                "column": seen.column,
                "findings": [each.as_json() for each in seen.findings],
                "summary": seen.summary,
            }
        )
        return seen.valid
    name = "stdin" if file == "-" else screen.visible(file)
    if seen.valid:
        click.echo(f"{name}: a router would read it")
    else:
        click.echo(f"{name}:{seen.line}:{seen.column}: {seen.message}")
        show_caret(source, seen)
    click.echo(seen.summary)
    if seen.findings:
        show_findings(seen.findings)
    return seen.valid


def _read(file: str) -> bytes:
    """Read a script of any bytes. Raises OSError or ValueError."""
    if file == "-":
        source = sys.stdin.buffer.read(_LONGEST + 1)
    else:
        with Path(file).open("rb") as opened:
            source = opened.read(_LONGEST + 1)
    if len(source.replace(b"\r\n", b"\n")) > MAX_SCRIPT or len(source) > _LONGEST:
        raise ValueError(f"it is longer than {MAX_SCRIPT} bytes (1 MiB), and so would be refused")
    return source


COMMANDS = (lint,)

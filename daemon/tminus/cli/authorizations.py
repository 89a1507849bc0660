"""What approvers do, and who asks them: review, request, authorize, sign, withdraw."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import click

from tminus.cli import screen
from tminus.cli.common import Context, as_json_option, as_person, asynchronous, print_json
from tminus.cli.inputs import Duration, find_script
from tminus.cli.review import Review, launch_time, read_review, show_review
from tminus.cli.signing import check_signing, expiry, sign_statement, signer, with_signature
from tminus.domain.canonical import moment_text
from tminus.errors import TminusError, UsageError

_LARGEST_SIGNATURE = 16384  # bytes
_expires = click.option(
    "--expires",
    "lasts",
    type=Duration(),
    metavar="DURATION",
    help="Nothing is started later than so long from now: 12h, 30d.",
)


@click.command()
@click.argument("script", metavar="ID")
@click.option("--all", "all_sites", is_flag=True, help="Every site, one a line, and nothing else.")
@as_json_option
@asynchronous
async def review(context: Context, script: str, *, all_sites: bool, as_json: bool) -> None:
    """Show what would be authorized: script, findings, sites, times, options, what changed, and the digest of it."""
    async with context.connect() as connection:
        seen = await read_review(connection, await find_script(connection, script))
    if as_json:
        print_json(json.loads(seen.whole))
    elif all_sites:
        for site in seen.sites:
            click.echo(screen.visible(site.line()))
    else:
        show_review(seen)


@click.command()
@click.argument("script", metavar="ID")
@as_person
@as_json_option
@asynchronous
async def request(context: Context, script: str, *, person: str | None, as_json: bool) -> None:
    """Ask for the authorization of a scheduled script; those in its notify list are told."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        seen = await read_review(connection, await find_script(connection, script))
        answer = json.loads(await connection.fetchval(statement("request_authorization"), seen.id, person))
    if as_json:
        print_json(answer)
    else:
        click.echo(f"asked for the authorization of {seen.id}; an approver runs: tminus authorize {seen.id}")


@click.command()
@click.argument("script", metavar="ID")
@click.option(
    "--digest", metavar="DIGEST", help="Of what you have reviewed. Without it, it is shown and you are asked."
)
@click.option("--yes", is_flag=True, help="Show it, but do not ask.")
@click.option("--reason", metavar="TEXT", help="Why, for whoever asks later.")
@_expires
@click.option(
    "--sign",
    "key",
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="Sign with this SSH key (its .pub: agent or hardware).",
)
@click.option(
    "--signature",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A signature that was made with tminus sign.",
)
@as_person
@as_json_option
@asynchronous
async def authorize(
    context: Context,
    script: str,
    *,
    digest: str | None,
    yes: bool,
    reason: str | None,
    lasts: timedelta | None,
    key: Path | None,
    file: Path | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Authorize a scheduled script.

    The authorization covers exactly this content on exactly these sites; an edit undoes it.
    """
    from tminus.store.pool import statement

    if key is not None and file is not None:
        raise UsageError("give --sign or --signature, not both")
    if digest is None and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "there is no terminal to show what would be authorized; give the --digest of what you have reviewed,"
            f" or run 'tminus authorize {script}' on a terminal"
        )
    async with context.connect() as connection:
        seen = await read_review(connection, await find_script(connection, script))
    if digest is None:
        show_review(seen)
        if not yes and not click.confirm("Authorize exactly this?", err=as_json):
            raise TminusError(f"scheduled script {seen.id} was not authorized; nothing was changed")
    expires: datetime | None = None
    signature: str | None = None
    if file is not None:
        signature, expires = _read_signature(file)
    else:
        expires = _expiry(seen, lasts, signed=key is not None)
        if key is not None:
            if digest is not None and digest != seen.digest:
                raise UsageError(
                    f"the digest does not match: scheduled script {seen.id} is now {seen.digest}; review it again"
                )
            signature = await _sign(context, seen, key, person, expires)
    async with context.connect() as connection:
        answer = json.loads(
            await connection.fetchval(
                statement("authorize"), seen.id, digest or seen.digest, person, signature, expires, reason
            )
        )
    if as_json:
        print_json(answer)
        return
    signed = ", signed" if signature is not None else ""
    click.echo(
        f"authorized {answer['id']} as {screen.visible(answer['authorized_by'])}{signed}; launch: {launch_time(seen)}"
    )


@click.command()
@click.argument("script", metavar="ID")
@click.argument("key", metavar="KEY", type=click.Path(path_type=Path))
@click.option("--digest", metavar="DIGEST", required=True, help="Of what you have reviewed.")
@_expires
@as_person
@asynchronous
async def sign(
    context: Context, script: str, key: Path, *, digest: str, lasts: timedelta | None, person: str | None
) -> None:
    """Sign what tminus authorize --signature takes, and change nothing: for who signs and who stores being apart.

    KEY is an SSH private key, or the .pub of one that an agent or a hardware key holds.
    """
    async with context.connect() as connection:
        seen = await read_review(connection, await find_script(connection, script))
    if digest != seen.digest:
        raise UsageError(f"the digest does not match: scheduled script {seen.id} is now {seen.digest}; review it again")
    expires = _expiry(seen, lasts, signed=True)
    signature = await _sign(context, seen, key, person, expires)
    click.echo(f"expires: {_moment(expires)}\n{signature}", nl=False)


@click.command()
@click.argument("script", metavar="ID")
@click.option("--reason", metavar="TEXT", required=True, help="Why, for whoever asks later.")
@as_person
@as_json_option
@asynchronous
async def withdraw(context: Context, script: str, *, reason: str, person: str | None, as_json: bool) -> None:
    """Take an authorization back, before the launch. It has to be authorized again."""
    from tminus.store.pool import statement

    async with context.connect() as connection:
        seen = await read_review(connection, await find_script(connection, script))
        answer = json.loads(await connection.fetchval(statement("withdraw"), seen.id, reason, person))
    if as_json:
        print_json(answer)
        return
    click.echo(f"withdrew the authorization of {answer['id']}; nothing of it is launched until it is authorized again")
    if seen.signature_required_by:
        click.echo("Its signature exists all the same: see 'What remains' in docs/security.md.")


@click.command("run-now")
@click.argument("script", metavar="ID")
@click.option("--reason", metavar="TEXT", help="Why, for whoever asks later.")
@click.option("--yes", is_flag=True, help="Do not ask on a terminal.")
@with_signature
@as_person
@as_json_option
@asynchronous
async def run_now(
    context: Context,
    script: str,
    *,
    reason: str | None,
    yes: bool,
    key: Path | None,
    lasts: timedelta | None,
    person: str | None,
    as_json: bool,
) -> None:
    """Have an authorized scheduled script start now and not at its time; of a cron rule, beside it.

    It takes an approver: the time was authorized, too. What is run is what was authorized.
    """
    from tminus.store.pool import statement

    check_signing(key, lasts, yes=yes)
    async with context.connect() as connection:
        seen = await read_review(connection, await find_script(connection, script))
    if key is not None:
        show_review(seen)
    if not yes and sys.stdin.isatty():
        called = screen.one_line(seen.description, 60) or "without a description"
        question = f"Run {seen.id} ({called}) now on {screen.plural(len(seen.sites), 'site')}? Its own time: {launch_time(seen)}."
        if not click.confirm(question, err=as_json):
            raise TminusError(f"scheduled script {seen.id} was left to its time")
    launch, expires, signature = uuid4(), None, None
    if key is not None:
        expires = expiry(lasts)
        signature = await _sign(context, seen, key, person, expires, run_now=launch)
    async with context.connect() as connection:
        answer = json.loads(
            await connection.fetchval(statement("run_now"), seen.id, person, reason, launch, signature, expires)
        )
    if as_json:
        print_json(answer)
        return
    click.echo(f"runs now: {answer['id']}; see tminus watch {answer['id']}")


async def _sign(
    context: Context,
    seen: Review,
    key: Path,
    person: str | None,
    expires: datetime | None,
    *,
    run_now: UUID | None = None,
) -> str:
    """Sign what was shown, as it was computed here: for its own time, or to run now as that launch."""
    from tminus.domain.authorization import Statement

    stated = Statement(
        act="launch" if run_now is None else "run_now",
        launch=run_now,
        script=str(seen.id),
        digest=seen.digest,
        sites=len(seen.sites),
        author=seen.created_by,
        editor=seen.updated_by,
        approver=await signer(context, person),
        expires=expires,
    )
    return await sign_statement(stated, key)


def _expiry(seen: Review, lasts: timedelta | None, *, signed: bool) -> datetime | None:
    """Return the moment that is stored; a signature has to name it, so the policy's limit is applied here then."""
    if lasts is None:
        if not signed or seen.ttl is None:
            return None
        lasts = seen.ttl - timedelta(minutes=1)  # the database's clock may be behind
    return (datetime.now(UTC) + lasts).replace(microsecond=0)


def _moment(expires: datetime | None) -> str:
    return "never" if expires is None else moment_text(expires)


def _read_signature(file: Path) -> tuple[str, datetime | None]:
    """Read what `tminus sign` printed: when it expires, and the signature; or the signature alone, which never does."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST_SIGNATURE + 1).decode()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} holds no signature") from error
    head, begin, rest = text.partition("-----BEGIN SSH SIGNATURE-----")
    if not begin or len(text) > _LARGEST_SIGNATURE:
        raise UsageError(f"{file} holds no signature")
    expires = None
    if head.strip() not in ("", "expires: never"):
        try:
            expires = datetime.fromisoformat(head.strip().removeprefix("expires: "))
        except ValueError as error:
            raise UsageError(f"{file} does not begin as 'tminus sign' writes it") from error
    return begin + rest, expires


COMMANDS = (review, request, authorize, sign, withdraw, run_now)

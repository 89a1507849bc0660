"""The HTTP API as a process, and tokens for it where there is no identity provider."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import click

from tminus.cli.common import Context
from tminus.cli.inputs import Duration
from tminus.errors import ConfigError, UsageError

_LONGEST = timedelta(days=366)


@click.command()
@click.pass_obj
def api(context: Context) -> None:
    """Serve the HTTP API until SIGTERM, as a process of its own."""
    from tminus.api import serve_api
    from tminus.ops.logging import configure_logging
    from tminus.settings import credentials_base

    settings = context.settings
    configure_logging(level=settings.log_level, form=settings.log_format)
    asyncio.run(serve_api(settings, base=credentials_base(context.config_file)))


@click.command()
@click.argument("person", metavar="PERSON")
@click.option(
    "--scope", "scopes", multiple=True, required=True, metavar="SCOPE", help="What it allows; repeat it for more."
)
@click.option("--for", "valid", type=Duration(), default="8h", show_default=True, help="How long it is valid.")
@click.pass_obj
def token(context: Context, person: str, scopes: tuple[str, ...], valid: timedelta) -> None:
    """Make a token with which PERSON may use the HTTP API.

    It is signed with api_secret_file. Scopes are script:view, script:create, script:update, script:authorize, script:run,
    script:delete, site:update, site:freeze and contact:update.
    """
    from tminus.api import located
    from tminus.settings import credentials_base
    from tminus.web.tokens import SCOPES, mint, read_secret

    settings = context.settings
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown:
        raise UsageError(f"there is no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    if not person.isprintable() or not 1 <= len(person) <= 200:
        raise UsageError("a person is 1 to 200 printable characters")
    if valid > _LONGEST:
        raise UsageError("a token is valid for a year at most")
    if settings.api_secret_file is None:
        raise ConfigError("tokens are made with a secret of your own: set api_secret_file (openssl rand -hex 32)")
    secret = read_secret(located(settings.api_secret_file, credentials_base(context.config_file)))
    click.echo(
        mint(
            secret,
            name=person,
            scopes=scopes,
            issuer=settings.api_issuer,
            audience=settings.api_audience,
            valid=valid,
        )
    )


COMMANDS = (api, token)

"""What a person types. Each command is thin: it speaks to the database contract, and says errors in one sentence."""

from __future__ import annotations

import sys

import click

from tminus import __version__
from tminus.cli.common import Context
from tminus.cli.output import guard_stdout
from tminus.cli.sections import Sections
from tminus.errors import OutputClosed, TminusError


@click.group(cls=Sections, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="tminus")
@click.option("--config", "config", metavar="FILE", help="Settings in TOML; TMINUS_CONFIG names one, too.")
@click.pass_context
def cli(context: click.Context, config: str | None) -> None:
    """Launch authorized RouterOS scripts on fleets of MikroTik routers, and prove how each run ended."""
    context.obj = Context(config)


def _register() -> None:
    from tminus.cli import (
        api,
        audit,
        backups,
        check,
        completion,
        contacts,
        demo,
        freezes,
        launches,
        lint,
        process,
        rehearse,
        repairs,
        resumption,
        rollout,
        scripts,
        sites,
        tag_caps,
        upcoming,
        windows,
    )

    for module in (
        process,
        api,
        check,
        demo,
        sites,
        contacts,
        lint,
        scripts,
        launches,
        rollout,
        rehearse,
        backups,
        repairs,
        resumption,
        freezes,
        windows,
        tag_caps,
        upcoming,
        audit,
        completion,
    ):
        for command in module.COMMANDS:
            cli.add_command(command)


def main() -> None:
    """Run the command line. Exit codes are those of tminus.errors; 130 after Ctrl-C."""
    _register()
    guard_stdout()
    try:
        cli(standalone_mode=False)
    except OutputClosed as error:
        sys.exit(error.exit_code)
    except TminusError as error:
        click.echo(f"tminus: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(f"tminus: {error.format_message()}", err=True)
        sys.exit(error.exit_code)

"""`tminus completion`: what a shell needs to complete our commands and options."""

from __future__ import annotations

import click

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes a shell complete tminus.

    For bash: eval "$(tminus completion bash)" in ~/.bashrc, or the output as a file in /etc/bash_completion.d.
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None  # noqa: S101 - click has these three
    click.echo(made(context.find_root().command, {}, "tminus", "_TMINUS_COMPLETE").source())


COMMANDS = (completion,)

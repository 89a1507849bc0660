"""The commands in the sections of `tminus --help`: what belongs together stands together, in the order in which it is needed."""

from __future__ import annotations

import click

SECTIONS = {
    "A scheduled script, until it is authorized": (
        "submit",
        "lint",
        "review",
        "render",
        "resolve-sites",
        "request-test",
        "rehearse",
        "request",
        "authorize",
        "sign",
        "withdraw",
        "cancel",
    ),
    "What comes, what runs, what was": ("status", "upcoming", "watch", "launch", "show", "backup", "audit"),
    "A launch": ("run-now", "pause-launch", "resume-launch", "confirm-wave", "retry"),
    "When starts are allowed": ("freeze", "thaw", "window", "cap"),
    "When something went wrong": ("resolve", "cleanup", "resume", "readmit"),
    "Routers and people": ("site", "contact", "token"),
    "The daemon and its database": ("check", "migrate", "serve", "api", "psql"),
    "Without routers": ("demo", "simulate"),
    "The shell": ("completion",),
}


class Sections(click.Group):
    """Lists its commands in sections, each with the whole of its first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        placed = {name for names in SECTIONS.values() for name in names}
        other = tuple(name for name in self.list_commands(ctx) if name not in placed)
        for title, names in (*SECTIONS.items(), ("Other", other)):
            rows = [
                (name, self.commands[name].get_short_help_str(limit=200)) for name in names if name in self.commands
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

"""``*.auto.rsc``: an uploaded file of such a name is imported at once; what that printed is in ``*.auto.log``."""

from __future__ import annotations

from tminus.simulator.router import Router

from . import background
from .interpreter import Console

AUTO = ".auto.rsc"


def run_uploaded(router: Router, user: str, name: str) -> None:
    output: list[str] = []
    console = Console(router, user, write=output.append)
    line = f'/import file-name="{_quoted(name)}"'.encode("utf-8", "surrogateescape")
    background.start(console, line, script=name, output=output, file=name.removesuffix(".rsc") + ".log")


def _quoted(name: str) -> str:
    return "".join(f"\\{char}" if char in '"$\\' else char for char in name)

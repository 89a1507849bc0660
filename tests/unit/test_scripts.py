"""Each of scripts/ can be the first that is run in a checkout: whatever needs .venv has it made before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_SCRIPTS = [
    path
    for path in sorted((_ROOT / "scripts").iterdir())
    if path.is_file() and path.name != "bootstrap" and path.read_bytes().startswith(b"#!/bin/sh")
]
_NEED_NOTHING = {"audit", "fetch-prometheus", "install", "lock", "venv.sh"}
"""They are no users of .venv: they fetch, build or install something of their own, or are sourced."""


def test_all_that_needs_no_environment_is_known() -> None:
    assert {path.name for path in _SCRIPTS} > _NEED_NOTHING
    for path in _SCRIPTS:
        if path.name in _NEED_NOTHING - {"venv.sh"}:
            assert ".venv/bin" not in path.read_text(), path.name


@pytest.mark.parametrize("name", [path.name for path in _SCRIPTS if path.name not in _NEED_NOTHING])
def test_an_environment_is_made_before_anything_else_is_done(name: str, tmp_path: Path) -> None:
    shutil.copytree(_ROOT / "scripts", tmp_path / "scripts")
    bootstrap = tmp_path / "scripts/bootstrap"
    bootstrap.write_text('#!/bin/sh\necho "$@" >>"${0%/*}/asked-for"\nexit 7\n')
    done = subprocess.run([tmp_path / "scripts" / name, "x"], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (7, ""), done.stderr
    assert (tmp_path / "scripts/asked-for").read_text() in ("run\n", "dev\n")

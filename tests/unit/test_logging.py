"""Where the log goes decides how it looks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import logging, structlog
from tminus.ops.logging import configure_logging
configure_logging(level="info", form="{form}")
log = structlog.get_logger()
log.debug("hidden")
log.info("launched", sites=3)
with structlog.contextvars.bound_contextvars(site_id="site_41"):
    log.warning("site_ended")
logging.getLogger("library").error("it %s", "broke")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("broke")
"""


def run(folder: Path, *, form: str = "auto", journal: bool = False) -> list[str]:
    with (folder / "stderr").open("wb") as stderr:
        there = os.fstat(stderr.fileno())
        environment = {name: value for name, value in os.environ.items() if name != "JOURNAL_STREAM"}
        if journal:
            environment["JOURNAL_STREAM"] = f"{there.st_dev}:{there.st_ino}"
        subprocess.run(
            [sys.executable, "-c", PROGRAM.format(form=form)], stderr=stderr, env=environment, check=True, timeout=30
        )
    return (folder / "stderr").read_text().splitlines()


def test_json_a_line_with_what_was_bound_and_what_libraries_say(tmp_path: Path) -> None:
    events = [json.loads(line) for line in run(tmp_path)]
    assert [(event["level"], event["event"]) for event in events] == [
        ("info", "launched"),
        ("warning", "site_ended"),
        ("error", "it broke"),
        ("error", "broke"),
    ]
    assert events[0]["sites"] == 3
    assert events[1]["site_id"] == "site_41"
    assert "ZeroDivisionError" in events[3]["exception"]
    assert all(event["timestamp"].endswith("Z") for event in events)


def test_the_journal_learns_the_level_of_each_line(tmp_path: Path) -> None:
    lines = run(tmp_path, journal=True)
    assert [line[:3] for line in lines] == ["<6>", "<4>", "<3>", "<3>"]
    assert [json.loads(line[3:])["event"] for line in lines] == ["launched", "site_ended", "it broke", "broke"]


def test_readable_lines_where_a_person_looks(tmp_path: Path) -> None:
    first = run(tmp_path, form="console", journal=True)[0]
    assert "launched" in first
    assert "sites=3" in first
    assert not first.startswith(("{", "<"))

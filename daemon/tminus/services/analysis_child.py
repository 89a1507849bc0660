"""The process in which scripts are looked at: reads one after the other from stdin, and answers each on stdout.

A request is a line ``BYTES MICROSECONDS BYTES`` (length of the script, site_timeout, length of the post-checks), the script,
and the post-checks as a JSON list; an answer is a line
``BYTES`` and a JSON object, ``{"findings": [...], "summary": ...}`` or ``{"error": ...}``. It ends when stdin does.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from datetime import timedelta
from pathlib import Path

from tminus.routeros.lint import inspect

_MEMORY = 2 * 1024 * 1024 * 1024  # bytes of address space; a script of 1 MiB takes a tenth
_NICER = 10


def main() -> None:
    """Answer until there is no further request."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with contextlib.suppress(OSError):  # politeness only; a hardened unit forbids it
        os.nice(_NICER)
    with contextlib.suppress(OSError):  # where memory runs out, the kernel is to end this process, not the daemon
        Path("/proc/self/oom_score_adj").write_text("1000")
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while header := requests.readline():
        length, microseconds, of_checks = map(int, header.split())
        script, checks = requests.read(length), json.loads(requests.read(of_checks))
        answer = _answer(script, timedelta(microseconds=microseconds), checks)
        answers.write(b"%d\n%s" % (len(answer), answer))
        answers.flush()


def _answer(script: bytes, site_timeout: timedelta, post_checks: list[str]) -> bytes:
    try:
        seen = inspect(script, site_timeout=site_timeout, post_checks=post_checks)
        answer: dict[str, object] = {
            "findings": [each.as_json() for each in seen.findings],
            "summary": seen.summary,
        }
    except Exception as error:  # noqa: BLE001 - a bug, or no memory: told to whoever asked, who goes on
        answer = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(answer).encode()


if __name__ == "__main__":
    main()

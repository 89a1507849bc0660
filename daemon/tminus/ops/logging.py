"""structlog: JSON lines for the journal, readable lines on a terminal. Events are past-tense snake_case.

In the journal each line has its level as its priority too, so that `journalctl -u tminus -p warning` shows what needs a look.
"""

from __future__ import annotations

import logging
import os
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
# What systemd reads off the front of a line (sd-daemon(3)), and does not store.
_PRIORITIES = {"debug": "<7>", "info": "<6>", "warning": "<4>", "error": "<3>", "critical": "<2>"}


def configure_logging(*, level: str, form: str) -> None:
    """Set up logging to stderr once per process. `form`: json, console, or auto (console on a terminal)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    ending: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if console
        else [structlog.processors.format_exc_info, _json_for_journal if _stderr_is_journal() else _json]
    )
    structlog.configure(
        processors=[*shared, *ending],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    # What libraries say goes the same way.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending]
        )
    )
    logging.basicConfig(handlers=[handler], level=max(_LEVELS[level], logging.WARNING), force=True)
    # While a server is away it tells of each attempt to reach it, with a traceback; each service of ours says so once.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


_json = structlog.processors.JSONRenderer(sort_keys=True)


def _json_for_journal(logger: WrappedLogger, method: str, event: EventDict) -> str:
    priority = _PRIORITIES.get(str(event.get("level")), "")
    return f"{priority}{_json(logger, method, event)!s}"


def _stderr_is_journal() -> bool:
    """Whether systemd connected stderr to the journal: JOURNAL_STREAM then names its device and inode (systemd.exec(5))."""
    try:
        here = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{here.st_dev}:{here.st_ino}"

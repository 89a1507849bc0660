"""Code that runs without a session: it goes on when whoever started it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tminus.routeros.language import ScriptSyntaxError
from tminus.simulator.errors import Dropped, Quit, Rebooted, RunError
from tminus.simulator.files import StorageFull
from tminus.simulator.jobs import Job, JobKind

if TYPE_CHECKING:
    from tminus.simulator.router import Router

    from .interpreter import Console

MAX_SCRIPT_BYTES = 64 * 1024  # of ``:execute``; documented


async def captured(console: Console, source: bytes) -> str | None:
    """Run a text; an error is printed there and returned, with its place where this version names it."""
    try:
        await console.run(source)
    except ScriptSyntaxError as error:
        text = str(error)
    except RunError as error:
        text = error.text(with_path=console.router.version.error_paths)
    except (Quit, Dropped, Rebooted):
        return None
    else:
        return None
    console.write(f"{text}\n")
    return text


def start(
    console: Console,
    source: bytes,
    *,
    script: str,
    output: list[str],
    file: str | None = None,
    failed: Callable[[str], None] = lambda _: None,
) -> Job:
    """Start a job; ``console`` writes to ``output``, which goes to a file at the end if one is named.

    ``failed`` hears of an error that nothing caught.
    """
    router = console.router
    job = router.new_job(script, console.user, JobKind.COMMAND)
    job.policy = console.rights
    console.jobs.append(job)
    if file is not None and router.behaviour.job_file_at_start:
        keep(router, file, "")

    async def work() -> None:
        try:
            error = await captured(console, source)
            if error is not None:
                failed(error)
        finally:
            router.end_job(job)
            if file is not None and not router.down:
                keep(router, file, "".join(output))

    job.task = router.tasks.start(work(), f"job *{job.id:X}")
    return job


def keep(router: Router, name: str, text: str) -> None:
    """Write what a job printed to a file; without room for it there is a line in the log instead."""
    name = name if "." in name.rpartition("/")[2] else f"{name}.txt"
    try:
        router.files.put(name, text.replace("\n", "\r\n").encode("utf-8", "surrogateescape"))
    except StorageFull:
        router.write_log("system,error", f"could not write {name}: no space left")

"""What comes once a script has been started and is decided: see the router come back where it was to go away, clean up,
take the export afterwards, keep the router busy while its script may still run, and listen to it for as long.

Nothing in here changes what the script did, or stops it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from tminus.device.connection import Connection, Execution
from tminus.device.output import Ended
from tminus.domain.endings import Ending, check_failed
from tminus.domain.likeness import common_ends
from tminus.errors import (
    ConfigError,
    ConnectionLost,
    DeviceError,
    DeviceTimeout,
    HostKeyChanged,
    LoginRefused,
    StoreError,
)
from tminus.routeros import commands
from tminus.routeros.differ import diff_exports
from tminus.routeros.export import Export
from tminus.routeros.outcome import judge_import
from tminus.routeros.remains import Before, has_rebooted
from tminus.routeros.text import lines
from tminus.services import post_checks
from tminus.services.beside import EXPORTS
from tminus.services.contact import CLOSES_WITHIN, SMALL, Contact, find_remains
from tminus.services.exports import complete_export, take_export, with_secrets
from tminus.services.run import Run, answer_of, sentence
from tminus.services.run_settings import RunSettings
from tminus.services.whereabouts import FINAL, find_again, moved_to, told_address
from tminus.store import busy_sites
from tminus.store.pool import Database

_MUCH = 30_000  # characters that differ: some hundredths of a second
_RENEW = 60.0  # seconds between signs that a script is still listened to
_BETWEEN_TRIES = 3.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidied:
    """`left`: files of ours are still there, as far as we know."""

    export: Export | None = None
    left: bool = True
    warnings: tuple[str, ...] = ()


async def tidy_up(run: Run, connection: Connection, contact: Contact | None, settings: RunSettings) -> Tidied:
    """Remove our files and take the export afterwards, then close the connection. What went wrong is a warning.

    Where the connection was lost meanwhile it is tried over another one, once, as the janitor would come much later; not
    without `contact`, where others tried to log in already.
    """
    tidied = await _tidy(run, connection, settings)
    lost = connection.closed
    await connection.close()
    if contact is None or not lost or not (tidied.left or tidied.export is None):
        return tidied
    try:
        again = await contact.connect(run.site, host_key=connection.host_key, covered=run.site_part)
    except (DeviceError, ConfigError) as error:
        return replace(tidied, warnings=(*tidied.warnings, f"And once more: {sentence(error)}"))
    try:
        return await _tidy(run, again, settings)
    finally:
        await again.close()


async def _tidy(run: Run, connection: Connection, settings: RunSettings) -> Tidied:
    assert run.facts is not None  # noqa: S101 - the run was prepared
    left, warnings = True, []
    try:
        answer = await connection.run(
            commands.remove_and_export(run.nonce, run.facts.version),
            deadline=settings.export_timeout,
            cap=settings.export_cap,
        )
        said = lines(answer.output[:SMALL])
        left = not commands.says_gone(run.nonce, said)
        if left:
            warnings.append(f"The file {run.nonce.file} could not be removed; it is tried again.")
        if left and f"{run.nonce.marker('LEFT')}-0" not in said:
            # What fails keeps the rest of its line from running.
            taken = await take_export(connection, run.nonce, run.facts.version, settings)
        else:
            output = commands.after_removal(run.nonce, answer.output)
            taken = await complete_export(
                connection, run.nonce, run.facts.version, settings, result=answer, output=output, like=run.before
            )
        if run.with_secrets:
            taken = await with_secrets(connection, run.nonce, run.facts.version, settings, taken)
    except (ConnectionLost, DeviceTimeout) as error:
        # An export may have been written to a file by then.
        return Tidied(left=True, warnings=(*warnings, f"Cleanup and the export afterwards failed: {sentence(error)}"))
    if taken.export is None:
        warnings.append(f"The export afterwards is incomplete: {taken.why.rstrip('.')}.")
    if taken.note:
        warnings.append(f"Afterwards: {taken.note}")
    return Tidied(export=taken.export, left=left or taken.left, warnings=tuple(warnings))


async def difference(before: Export | None, after: Export | None) -> str | None:
    if before is None or after is None:
        return None
    # Only what differs costs anything: milliseconds mostly, and seconds where two exports have little in common.
    if max(len(before.text), len(after.text)) - sum(common_ends(before.text, after.text)) > _MUCH:
        return await EXPORTS.run(diff_exports, before.text, after.text)
    return diff_exports(before.text, after.text)


async def hidden_change(before: Export | None, after: Export | None, diff: str | None) -> str | None:
    """Say that secrets were changed, where that cannot be seen in the difference, which shows none; else None."""
    if before is None or after is None or before.sensitive is None or after.sensitive is None:
        return None
    if before.sensitive == after.sensitive:
        return None
    whole = await EXPORTS.run(diff_exports, before.sensitive, after.sensitive)
    if _changed_lines(whole) <= _changed_lines(diff or ""):
        return None
    if diff:
        return "Secrets were changed as well, which the difference does not show."
    return "Only secrets were changed, so the difference shows nothing."


def _changed_lines(diff: str) -> int:
    return sum(line[:1] in ("+", "-") for line in diff.split("\n")[2:])


async def see_it_return(
    run: Run, connection: Connection, ending: Ending, contact: Contact, settings: RunSettings
) -> tuple[Ending, Connection | None]:
    """After a proved end: wait for the disconnect that was expected, and log in again.

    Returns the ending, and the connection to go on with; None where the router did not come back within its time.
    """
    loop = asyncio.get_running_loop()
    if not await _goes_away(run, connection, settings):
        note = f"It was expected to end its session, and did not within {settings.disconnect_within:g} s."
        return replace(ending, warnings=(*ending.warnings, note)), connection
    connection.abort()
    until = max(run.deadline, loop.time() + settings.resolve_within)
    last = "no answer"
    while loop.time() < until:
        try:
            again = await find_again(run.sought, contact, deadline=settings.command_timeout)
            rebooted = await _rebooted(run, again, settings)
        except FINAL as error:
            last = str(error)
            break  # asked again, it would say the same, and firewalls count
        except DeviceError as error:
            last = str(error)
            await asyncio.sleep(min(_BETWEEN_TRIES, max(until - loop.time(), 0)))
            continue
        run.answers_at = moved_to(again, run.claim.site)
        log.info("site_returned", rebooted=rebooted, address=again.target.address)
        how = "The router rebooted and is back." if rebooted else "The router is back."
        told = (ending.message, how, told_address(again, run.claim.site))
        return replace(ending, message=" ".join(filter(None, told))), again
    message = f"{ending.message} But the router has not come back: {last.rstrip('.')}."
    return check_failed(message, warnings=ending.warnings), None


async def check(
    run: Run, connection: Connection, ending: Ending, contact: Contact, settings: RunSettings, *, is_new: bool
) -> tuple[Ending, Connection]:
    """After a proved end: evaluate the post-checks, over a new connection, since the old one proves no way in.

    It is tried for as long as the site's time lasts. Returns the ending, and the connection to go on with: the new one, or
    the old one where no other was to be had.
    """
    loop = asyncio.get_running_loop()
    until = max(run.deadline, loop.time() + settings.resolve_within)
    new = connection if is_new else None
    while True:
        try:
            if new is None or new.closed:
                new = await contact.connect(run.site, host_key=connection.host_key, covered=run.site_part)
            judged = await post_checks.judge(new, run.nonce, run.post_checks, ending, settings)
        except (LoginRefused, HostKeyChanged, ConfigError) as error:
            return post_checks.unchecked(ending, str(error)), connection
        except DeviceError as error:
            if loop.time() >= until:
                return post_checks.unchecked(ending, str(error)), connection
            await asyncio.sleep(min(_BETWEEN_TRIES, max(until - loop.time(), 0)))
            continue
        if new is not connection:
            connection.abort()
        return judged, new


async def _goes_away(run: Run, connection: Connection, settings: RunSettings) -> bool:
    """Ask the router something again and again until it does not answer."""
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.disconnect_within
    patience = min(5.0, settings.command_timeout)
    while loop.time() < until:
        if connection.closed:
            return True
        try:
            await connection.run(commands.evidence(run.nonce), deadline=patience, cap=SMALL)
        except (ConnectionLost, DeviceTimeout):
            return True
        await asyncio.sleep(0.5)
    return False


async def _rebooted(run: Run, connection: Connection, settings: RunSettings) -> bool:
    """The first command that is answered again; whether the router has rebooted since it was identified."""
    assert run.facts is not None  # noqa: S101
    remains = await find_remains(connection, run.nonce, deadline=settings.command_timeout)
    if remains is None:
        connection.abort()
        raise ConnectionLost("what answered is not a RouterOS console")
    ago = timedelta(seconds=asyncio.get_running_loop().time() - run.identified_at)
    return has_rebooted(remains, Before(uptime=run.facts.uptime, ago=ago, certain=True))


async def listen_on(
    run: Run, execution: Execution, db: Database, keep_late: Callable[[Run, Ending], Awaitable[None]]
) -> None:
    """A started import is never aborted by us: go on listening until its session ends, and keep its router busy.

    When it ends with a proof, that is kept as evidence and the router is free. When its session ends without one, the
    janitor looks on the router.
    """
    loop = asyncio.get_running_loop()
    linger: float | None = CLOSES_WITHIN
    while True:
        began = loop.time()
        result = await execution.wait(_RENEW, linger=linger)
        verdict = judge_import(answer_of(result), run.nonce, run.script, catches=run.catches, greeting=run.greeting)
        if result.ended is Ended.TOLD and not isinstance(verdict, Ending):
            linger = None  # it was no proof
            continue
        if result.ended not in (Ended.TIMED_OUT, Ended.LOST) or execution.closed:
            break
        try:
            await busy_sites.hold(db, run.claim.id, seconds=3 * _RENEW, seen="Its session is still open.")
        except StoreError as error:  # then the janitor looks; it stops nothing
            log.info("busy_site_not_noted", message=str(error))
        await asyncio.sleep(max(began + _RENEW - loop.time(), 0))  # a silent connection does not wait
    if not isinstance(verdict, Ending):
        return
    await keep_late(run, post_checks.not_made(verdict, run.post_checks))
    try:
        await busy_sites.free(db, run.claim.id, f"The session ended: {verdict.message}")
    except StoreError as error:
        log.info("busy_site_not_freed", message=str(error))

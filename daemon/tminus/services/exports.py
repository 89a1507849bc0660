"""Takes a complete export of a router: over the session, or, where that does not bring all of it, as a file by SFTP.

It must never take for complete what is not. What it leaves on the router it removes, or says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from tminus.device.connection import Connection
from tminus.device.output import Ended, ExecResult
from tminus.errors import ConnectionLost, DeviceTimeout, UploadFailed
from tminus.routeros import commands
from tminus.routeros.export import Export, Incomplete, read_export, read_export_file
from tminus.routeros.facts import Version
from tminus.routeros.text import clean, clean_line, lines
from tminus.services.beside import EXPORTS
from tminus.services.contact import SMALL, remove_files
from tminus.services.run_settings import RunSettings

T = TypeVar("T")

_LONG = 500_000  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """`export` is None where there is no complete one: `why` is the end of a sentence. `left`: a file of ours lies there.

    `doubt` is a sentence about an export that is complete by all that it says itself.
    """

    export: Export | None = None
    why: str = ""
    left: bool = False
    doubt: str = ""
    note: str = ""  # why it was not taken with its secrets, where that was wanted


async def take_export(
    connection: Connection,
    nonce: commands.Nonce,
    version: Version,
    settings: RunSettings,
    *,
    sensitive: bool = False,
    writing: Callable[[], None] = lambda: None,
) -> Taken:
    """`writing` is called before a file is written on the router, which may stay. Raises ConnectionLost or DeviceTimeout.

    `sensitive`: with its secrets, in its text as well.
    """
    result = await connection.run(
        commands.export(nonce, version, sensitive=sensitive), deadline=settings.export_timeout, cap=settings.export_cap
    )
    return await complete_export(
        connection,
        nonce,
        version,
        settings,
        result=result,
        output=result.output,
        sensitive=sensitive,
        writing=writing,
    )


async def take_plausible_export(
    connection: Connection,
    nonce: commands.Nonce,
    version: Version,
    settings: RunSettings,
    *,
    last: int | None,
    writing: Callable[[], None],
) -> Taken:
    """As `take_export`; one that is much shorter than the `last` one of this router (bytes) is compared with a second, as a file.

    RouterOS was seen to lose the middle of what it sends (public record, 1.6), which neither its end nor its exit status shows.
    So without the second one there is none.
    """
    taken = await take_export(connection, nonce, version, settings, writing=writing)
    if taken.export is None or last is None or taken.export.raw_bytes * 2 >= last:
        return taken
    shrunk = f"The export has {taken.export.raw_bytes} bytes, and the one before had {last}"
    writing()
    again = await _as_file(connection, nonce, version, settings, shrunk)
    left = taken.left or again.left
    if again.export is None:
        return Taken(why=again.why, left=left)
    if again.export.text == taken.export.text:
        return replace(taken, left=left, doubt=f"{shrunk}; a second one, written to a file, is the same.")
    return replace(again, left=left)


async def with_secrets(
    connection: Connection,
    nonce: commands.Nonce,
    version: Version,
    settings: RunSettings,
    taken: Taken,
    *,
    writing: Callable[[], None] = lambda: None,
) -> Taken:
    """Return the export that was `taken` with the same one with its secrets beside it, taken now; else with a note, why not.

    Two, and not one of which the secrets are replaced afterwards: what RouterOS leaves out is more than what can be known by
    its name. A backup does not fail for the second one, so this does not raise what `take_export` does.
    """
    plain = taken.export
    if plain is None:
        return taken
    was_writing = False

    def begin_file() -> None:
        nonlocal was_writing
        was_writing = True
        writing()

    try:
        again = await take_export(connection, nonce, version, settings, sensitive=True, writing=begin_file)
    except (ConnectionLost, DeviceTimeout) as error:
        return replace(taken, left=taken.left or was_writing, note=_not_stored(str(error)))
    left = taken.left or again.left
    if again.export is None:
        return replace(taken, left=left, note=_not_stored(again.why))
    told, lines_before = again.export.text.count("\n"), plain.text.count("\n")
    if told < lines_before:
        return replace(taken, left=left, note=_not_stored(f"it has {told} lines, and without secrets {lines_before}"))
    same = await EXPORTS.run(clean, again.export.text, cap=1 << 30) == plain.text
    return replace(taken, left=left, note=_NO_MORE if same else "", export=replace(plain, sensitive=again.export.text))


_NO_MORE = (
    "The export with secrets tells no more than the one without: the router has none, or the group of our user lacks the"
    " policy sensitive."
)


def _not_stored(why: str) -> str:
    return (
        f"The export is stored without its secrets; with them it could not be had: {why.rstrip('.')}."
        " It takes the policy sensitive."
    )


async def complete_export(
    connection: Connection,
    nonce: commands.Nonce,
    version: Version,
    settings: RunSettings,
    *,
    result: ExecResult,
    output: bytes,
    sensitive: bool = False,
    writing: Callable[[], None] = lambda: None,
    like: Export | None = None,
) -> Taken:
    """Make an export of what arrived, `output`; where it was cut, have it again as a file. Raises as `take_export`.

    `like`: one of this router, from before.
    """
    if result.ended is Ended.OVERFLOW:
        return Taken(why=f"it is larger than {settings.export_cap} bytes (export_cap)")
    read = await _unhurried(partial(read_export, redacted=not sensitive, like=like), output, nonce.marker("END"))
    if isinstance(read, Export):
        return Taken(export=read)
    if not read.cut:
        return Taken(why=read.why)
    writing()
    return await _as_file(connection, nonce, version, settings, read.why, sensitive=sensitive)


async def _as_file(
    connection: Connection,
    nonce: commands.Nonce,
    version: Version,
    settings: RunSettings,
    why: str,
    *,
    sensitive: bool = False,
) -> Taken:
    command = commands.export_to_file(nonce, version, sensitive=sensitive)
    written = await connection.run(command, deadline=settings.export_timeout, cap=SMALL)
    read: Export | Incomplete
    said = lines(written.output)
    # Where nothing is run behind an export, the end of the command is what says that it is written.
    ended = written.exit_status == 0 and not any(line for line in said)
    if nonce.marker("FILED") not in said and not ended:
        read = Incomplete(clean_line(written.output, cap=120) or "the router did not say that it was written")
    else:
        try:
            read = await _fetch(connection, nonce, settings, sensitive=sensitive)
        except UploadFailed as error:
            read = Incomplete(str(error))
    left = not await remove_files(connection, nonce, deadline=settings.command_timeout)
    if isinstance(read, Export):
        return Taken(export=read, left=left)
    return Taken(why=f"{why}; as a file: {read.why}", left=left)


async def _fetch(
    connection: Connection, nonce: commands.Nonce, settings: RunSettings, *, sensitive: bool
) -> Export | Incomplete:
    """Wait until the file's size stands still, and read it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + settings.upload_visible_within
    size: int | None = None
    while True:
        before, size = size, await file_size(connection, nonce, nonce.export_file, settings)
        if size is not None and size > settings.export_cap:
            return Incomplete(f"it is larger than {settings.export_cap} bytes (export_cap)")
        if size and size == before:
            break
        if loop.time() >= until:
            return Incomplete("its size does not stand still" if size else "the router does not list it")
        await asyncio.sleep(0.3)
    content = await connection.download(nonce.export_file, deadline=settings.export_timeout, cap=settings.export_cap)
    return await _unhurried(partial(read_export_file, redacted=not sensitive), content, size)


async def _unhurried(read: Callable[[bytes, T], Export | Incomplete], content: bytes, more: T) -> Export | Incomplete:
    """Read what arrived: a few milliseconds mostly, but many seconds of what a hostile router can think of.

    Those are spent beside the event loop: the heartbeat, and the scripts on other routers, do not wait for it.
    """
    if len(content) <= _LONG:
        return read(content, more)
    return await EXPORTS.run(read, content, more)


async def file_size(connection: Connection, nonce: commands.Nonce, name: str, settings: RunSettings) -> int | None:
    """Return what size the router lists for a file; None while it lists none. Raises ConnectionLost or DeviceTimeout."""
    said = await connection.run(commands.size_of(nonce, name), deadline=settings.command_timeout, cap=SMALL)
    return commands.listed_size(nonce, lines(said.output))

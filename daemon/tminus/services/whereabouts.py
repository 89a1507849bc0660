"""Finds the router again that a script was sent to: where it was, or where the script was to move it; and sees that it is that
router, by its host key and by what else is known of it.

It never takes another device for it. It starts and stops nothing on a router. It fails by an exception, and is asked again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from uuid import UUID

import structlog

from tminus.device.connection import Connection
from tminus.domain.digest import SitePart
from tminus.errors import (
    AnotherDevice,
    ConfigError,
    DeviceError,
    HostKeyChanged,
    LoginRefused,
)
from tminus.routeros import commands
from tminus.services.contact import Contact, ask_identity, ask_serial
from tminus.store import site_runs
from tminus.store.pool import Database
from tminus.store.site_runs import Site

log = structlog.get_logger()

FINAL = (LoginRefused, HostKeyChanged, AnotherDevice, ConfigError)
"""What a router would say again if it was asked again, and firewalls count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """A router that a script was sent to. `covered`: what its authorization covers of the site, `host_key` as for Contact.

    `identity` is what it called itself before, where nothing in the script may have changed that; else None, or not known.
    Where neither that nor the serial number is known it is looked for at its own address alone.
    """

    site: Site
    host_key: str | None
    covered: SitePart | None
    nonce: commands.Nonce
    serial: str | None
    identity: str | None = None
    may_have_moved: bool = False

    @property
    def places(self) -> tuple[Site, ...]:
        """Where it may answer, the likeliest first."""
        moved = self.site.part.return_address
        if not self.may_have_moved or moved is None or not self._is_told_from_a_copy:
            return (self.site,)
        return (at_address(self.site, moved), self.site)

    @property
    def _is_told_from_a_copy(self) -> bool:
        """A key that nobody knows proves nothing elsewhere, nor does one alone: routers made from one image may share it."""
        pinned = self.site.host_key or self.host_key
        return bool(pinned) and (self.serial is not None or self.identity is not None)


def at_address(site: Site, address: str) -> Site:
    """The same router at another address. What is covered of the site has to be said besides: it names the first one."""
    return replace(site, part=replace(site.part, address=address))


async def find_again(sought: Sought, contact: Contact, *, deadline: float) -> Connection:
    """Log in to it, wherever it answers. Raises DeviceError, AnotherDevice among them, or ConfigError: one of `FINAL` only
    where no place may give another answer later.
    """
    problems: list[DeviceError | ConfigError] = []
    for site in sought.places:
        try:
            return await _log_in(sought, site, contact, deadline)
        except LoginRefused:
            raise  # it showed its key: the same router would be asked once more
        except (DeviceError, ConfigError) as error:
            problems.append(error)
    chosen = next((each for each in problems if not isinstance(each, FINAL)), problems[0])
    if len(problems) == 1:
        raise chosen
    raise type(chosen)("; ".join(map(str, problems))) from chosen


async def _log_in(sought: Sought, site: Site, contact: Contact, deadline: float) -> Connection:
    connection = await contact.connect(site, host_key=sought.host_key, covered=sought.covered)
    try:
        await _check(sought, connection, deadline)
    except BaseException:
        connection.abort()
        raise
    return connection


async def _check(sought: Sought, connection: Connection, deadline: float) -> None:
    """Raise AnotherDevice if it is not the router that the script was sent to. Its host key was checked already.

    A virtual router has no serial number (public record), and may be a copy that has the same host key: of that one only
    the name tells.
    """
    if sought.serial is not None:
        serial = await ask_serial(connection, sought.nonce, deadline=deadline)
        if serial != sought.serial:
            raise AnotherDevice(
                f"Another device answers there now: its serial number is {serial or 'not named'}, not {sought.serial}."
            )
    elif sought.identity is not None:
        identity = await ask_identity(connection, sought.nonce, deadline=deadline)
        if identity is not None and identity != sought.identity:
            raise AnotherDevice(
                f"Another device answers there now: it calls itself {identity!r}, not {sought.identity!r},"
                " and names no serial number."
            )


def told_address(connection: Connection, site: Site) -> str:
    """Say where it answered, where there is a choice; an empty text where there is none."""
    if site.part.return_address is None:
        return ""
    return f"It answers at {connection.target.address}."


def moved_to(connection: Connection, site: Site) -> str | None:
    """Return the address where it answers, if that is not the site's."""
    address = connection.target.address
    return None if address == site.part.address else address


def move_warning(site: Site, address: str) -> str:
    """What a person has to do, in SQL that can be run as it stands."""
    name = site.id.replace("'", "''")
    change = f"update tminus.sites set address = '{address}' where id = '{name}'"  # noqa: S608 - for a person to run
    return (
        "The router has moved, and is offline until its address is changed; what it is in has to be authorized again"
        f" then: {change};"
    )


async def tell_moved(db: Database, instance: UUID, site: Site, address: str, launch: UUID) -> None:
    """Keep as an event of the site, and in the log, that it answers elsewhere. Raises StoreError."""
    log.warning("site_moved", address=address, was=site.part.address, todo=move_warning(site, address))
    detail = {"from": site.part.address, "to": address, "launch_id": str(launch)}
    await site_runs.record_site_event(db, "site_moved", instance, site.id, json.dumps(detail))

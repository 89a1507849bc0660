"""Looks at many routers side by side and says what they are: keys, facts, and what would stop a run.

It must never run a script, write a file, or hand a secret to a host that does not prove the pinned key. Where no key is
pinned yet it logs in by key alone (a signature is worth nothing to anybody else), never by password. It writes nothing:
what is found is for a person to accept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from tminus.device.connection import Connection
from tminus.device.hostkeys import HostKey
from tminus.errors import ConfigError, DeviceError, HostKeyChanged, UploadFailed
from tminus.routeros import commands, survey
from tminus.routeros.survey import Readiness, Survey, judge
from tminus.routeros.text import clean_line
from tminus.services.contact import SMALL, Contact, ask_serial, introduce
from tminus.store.site_runs import Site


class KeyState(StrEnum):
    """How the key that a router presents stands to the one that is known of it."""

    PINNED = "pinned"
    SEEN = "seen"  # the first key that was met under accept-new; not pinned by a person
    NEW = "new"
    CHANGED = "changed"
    UNKNOWN = "unknown"  # none was presented


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found of one site. `trouble` says why it was not looked at, or not to the end."""

    site: Site
    key: KeyState
    presented: HostKey | None
    trouble: str | None
    survey: Survey | None = None
    readiness: Readiness | None = None


async def scan(
    contact: Contact, sites: Iterable[Site], *, at_once: int, timeout: float, found: Callable[[Finding], None]
) -> None:
    """Look at all sites, `at_once` side by side, and tell what was found as it comes. `timeout`: seconds a command."""
    waiting = iter(sites)

    async def work() -> None:
        for site in waiting:
            found(await look(contact, site, timeout=timeout))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(at_once):
            tasks.create_task(work())


async def look(contact: Contact, site: Site, *, timeout: float) -> Finding:
    """Look at one site. Raises nothing that has to do with the site."""
    key, presented = KeyState.UNKNOWN, None
    try:
        credential = contact.credential(site)
        if site.host_key is None:
            presented = HostKey.parse(await contact.fetch_host_key(site))
            key = KeyState.NEW
            if credential.key is None:
                trouble = "not logged in: no key is pinned, and a password is not sent to a host that proved nothing"
                return Finding(site=site, key=key, presented=presented, trouble=trouble)
        connection = await contact.connect(site, host_key=presented.text if presented else None)
    except HostKeyChanged as error:
        return await _changed(contact, site, error)
    except (DeviceError, ConfigError) as error:
        return Finding(site=site, key=key, presented=presented, trouble=_line(error))
    if presented is None:
        presented = HostKey.parse(connection.host_key)
        key = KeyState.PINNED if site.part.host_key is not None else KeyState.SEEN
    try:
        async with connection:
            answered = await _survey(connection, timeout)
    except DeviceError as error:
        return Finding(site=site, key=key, presented=presented, trouble=_line(error))
    if answered is None:
        trouble = "logged in, but what answered is not a RouterOS console"
        return Finding(site=site, key=key, presented=presented, trouble=trouble)
    readiness = judge(answered, wants_secrets=site.part.sensitive_export)
    return Finding(site=site, key=key, presented=presented, trouble=None, survey=answered, readiness=readiness)


async def _changed(contact: Contact, site: Site, error: HostKeyChanged) -> Finding:
    """Another key than the known one: fetch it, for a person to compare. Nobody logs in."""
    presented = None
    try:
        presented = HostKey.parse(await contact.fetch_host_key(site))
    except DeviceError as again:
        error = HostKeyChanged(f"{error}; {again}")
    return Finding(site=site, key=KeyState.CHANGED, presented=presented, trouble=_line(error))


async def _survey(connection: Connection, timeout: float) -> Survey | None:
    """Ask everything. None where it is no RouterOS that answers."""

    nonce = commands.Nonce.fresh()

    async def ask(question: str | None) -> bytes:
        if question is None:
            return b""
        said = await connection.run(commands.ask(nonce, question), deadline=timeout, cap=SMALL)
        return commands.asked(nonce, said.output)

    facts = (await introduce(connection, nonce, stamp=False, deadline=timeout)).facts
    if facts is None:
        return None
    refusal = ""
    try:
        await connection.check_sftp(deadline=timeout)
    except UploadFailed as error:
        refusal = str(error)
    return Survey(
        facts=facts,
        serial=await ask_serial(connection, nonce, deadline=timeout),
        model=survey.parse_model(await ask(survey.model())),
        policies=survey.parse_policies(await ask(survey.policies(connection.username))),
        asked_at=datetime.now(UTC),
        clock=survey.parse_clock(await ask(survey.clock())),
        free_space=survey.parse_space(await ask(survey.free_space())),
        device_mode=survey.parse_device_mode(await ask(survey.device_mode(facts.version))),
        sftp_refusal=refusal,
    )


def _line(error: Exception) -> str:
    return clean_line(str(error), cap=800)

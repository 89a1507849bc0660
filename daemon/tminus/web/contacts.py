"""How people are told. Addresses are for those who keep them, so reading them takes the same scope."""

from __future__ import annotations

import json
from datetime import timedelta

import asyncpg

from tminus.web.call import Answer, Call
from tminus.web.fleet_models import ContactQuery, NewContact
from tminus.web.problems import Code, Problem


async def list_contacts(call: Call) -> Answer:
    rows = await call.rows("list_contacts", call.query_as(ContactQuery).person)
    return Answer(text=json.dumps([_contact(row) for row in rows]))


async def set_contact(call: Call) -> Answer:
    """Add one, or change what it is told; one that was disabled is told again."""
    new = call.body_as(NewContact)
    number = await call.value(
        "set_contact",
        new.person,
        new.channel,
        new.address,
        None if new.news is None else [str(kind) for kind in new.news],
        None if new.digest_every is None else timedelta(seconds=new.digest_every),
    )
    return Answer(text=json.dumps(await _the_contact(call, number, new.person)), status=201)


async def disable_contact(call: Call) -> Answer:
    """Write to it no more. It stays, since letters name it."""
    number = call.ids["contact_id"]
    contact = await _the_contact(call, number, None)
    await call.value("disable_contact", number)
    return Answer(text=json.dumps(contact | {"enabled": False}))


async def _the_contact(call: Call, number: object, person: str | None) -> dict[str, object]:
    for row in await call.rows("list_contacts", person):
        if row["id"] == number:
            return _contact(row)
    raise Problem(Code.NOT_FOUND, f"there is no contact {number}")


def _contact(row: asyncpg.Record) -> dict[str, object]:
    return {
        "id": row["id"],
        "person": row["person"],
        "channel": row["channel"],
        "address": row["address"],
        "news": row["news"],
        "digest_every": None if row["digest_every"] is None else row["digest_every"].total_seconds(),
        "enabled": row["enabled"],
        "waiting": row["waiting"],
        "last_failure": row["last_failure"],
    }

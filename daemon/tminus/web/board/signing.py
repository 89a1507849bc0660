"""What is signed on the page of a launch, where daemons ask for signatures: the text for each act that its forms offer.

It has to be the same each time the page is made, or whoever signs would send a signature over another text than that of the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import asyncpg

from tminus.domain.canonical import moment_text
from tminus.errors import Refused
from tminus.store.pool import Transaction, store_errors
from tminus.web.board.page import Visit, rows
from tminus.web.call import Call
from tminus.web.problems import Problem
from tminus.web.statements import statement_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """`texts`: what is signed for each act that can be done now. `expires`: of all of them, as the form sends it."""

    required_by: list[str]
    expires: str
    retry_id: UUID
    texts: Mapping[str, str] = field(default_factory=dict)


async def to_sign(visit: Visit, transaction: Transaction, launch: asyncpg.Record, *, may_retry: bool) -> Signing | None:
    """Return what the person who looks would sign; None where nothing has to be signed, or they may do none of it."""
    if not visit.may("script:run") or launch["kind"] not in ("scheduled", "retry"):
        return None
    required_by = [row["name"] for row in await rows(transaction, "signature_required_by")]
    if not required_by:
        return None
    expires = _expiry(await transaction.fetchval("select tminus.clock()"))
    retry_id = uuid5(launch["id"], f"retry by {visit.session.person.name} until {expires.isoformat()}")
    offered = {
        "resume": launch["paused_by"] is not None and launch["finished_at"] is None,
        "confirm": bool(launch["waits"]) and launch["finished_at"] is None,
        "retry": may_retry,
    }
    call = Call(
        person=visit.session.person, transaction=transaction, ids=visit.ids, query=None, body=None, if_match=None
    )
    texts: dict[str, str] = {}
    for act in (name for name, is_offered in offered.items() if is_offered):
        try:
            async with store_errors("make a statement"), transaction.transaction():
                texts[act] = await statement_text(
                    call,
                    launch["script_id"],
                    act,
                    expires=expires,
                    new_id=retry_id,
                    launch_id=launch["id"],
                    wave=launch["wave"] + 1 if act == "confirm" else None,
                )
        except (Problem, Refused):
            continue  # it can't be done, and who tries is told why
    return Signing(required_by=required_by, expires=moment_text(expires), retry_id=retry_id, texts=texts)


def _expiry(now: datetime) -> datetime:
    """Return the end of tomorrow: between one day and two from now, and the same all day."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)

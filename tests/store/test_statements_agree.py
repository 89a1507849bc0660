"""What is signed is one text in SQL, in Python and in the vectors that let any language check its own."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.store.stage import Stage
from tminus.domain.resumption import RememberedStart, Resumption

pytestmark = pytest.mark.asyncio(loop_scope="module")

_FOLDER = Path(__file__).parents[1] / "vectors"
STATEMENTS = json.loads((_FOLDER / "statement.json").read_text(encoding="utf-8"))
RESUMPTIONS = json.loads((_FOLDER / "resumption.json").read_text(encoding="utf-8"))


def moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value)


async def test_there_is_a_vector_for_each_act() -> None:
    acts = {vector["fields"]["act"] for vector in STATEMENTS}
    assert acts == {"launch", "retry", "confirm", "resume", "run_now", "test"}


@pytest.mark.parametrize("vector", STATEMENTS, ids=lambda vector: vector["name"])
async def test_the_statement_of_an_act(stage: Stage, vector: dict[str, Any]) -> None:
    of = vector["fields"]
    text = await stage.db.value(
        "select tminus.statement_text($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *(of["act"], of["launch"], of["script"], of["digest"], of["sites"], of["author"], of["editor"], of["approver"]),
        *(moment(of["expires"]), moment(of.get("due")), of.get("wave"), moment(of.get("since"))),
    )
    assert f"{text}\n" == vector["text"]


@pytest.mark.parametrize("vector", RESUMPTIONS, ids=lambda vector: vector["name"])
async def test_the_statement_that_lets_hosts_go_on(stage: Stage, vector: dict[str, Any]) -> None:
    starts = [
        RememberedStart(nonce=x["nonce"], launch=UUID(x["launch"]), site=x["site"], at=datetime.fromisoformat(x["at"]))
        for x in vector["starts"]
    ]
    expires = datetime.fromisoformat(vector["expires"])
    ours = Resumption(
        holds=frozenset(map(UUID, vector["holds"])),
        starts=frozenset(starts),
        approver=vector["approver"],
        expires=expires,
    )
    assert (ours.digest(), ours.text().decode()) == (vector["digest"], vector["text"])
    columns = [[getattr(start, name) for start in starts] for name in ("nonce", "launch", "site", "at")]
    instance = await stage.instance()
    for hold in vector["holds"]:
        await stage.store.fetchrow("say_held", UUID(hold), instance, *columns, None)
    if not vector["holds"]:
        await stage.store.fetch(
            "note_lost_starts", "x", [9] * len(starts), columns[0], columns[1], columns[2], columns[3]
        )
    assert await stage.db.value("select tminus.resume_digest()") == vector["digest"]
    text = await stage.db.value("select tminus.resume_statement($1, $2)", vector["approver"], expires)
    assert f"{text}\n" == vector["text"]

"""The examples of docs/rollout.md, run as they stand there by whom they name."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from tests.store.stage import Stage, add_sites, authorize
from tests.store.test_waves import end, launch_row, look
from tminus.store.launches import housekeeping

pytestmark = pytest.mark.asyncio(loop_scope="module")

_TEXT = (Path(__file__).parents[2] / "docs/rollout.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"<!-- test: (\w+) -->\n```sql\n(.*?)```", _TEXT, re.DOTALL)
SCRIPT = "0198f6a2-1d0e-7a11-8c3b-5b1f0a6f2c01"


async def test_the_examples_do_what_the_guide_says(stage: Stage) -> None:
    await add_sites(stage.db, "site_1", "site_2", "site_3", "site_4")
    assert _TEXT.count("```sql") == len(_EXAMPLES)
    (alice, insert), (_, edit), (bob, confirm), (_, hold), (_, retry), (_, cap) = _EXAMPLES
    pause, resume = hold.split("\n\n")
    await stage.db.run(insert, role=alice)
    await stage.db.run(edit, role=alice)
    await authorize(stage.db, SCRIPT)
    instance = await stage.instance(ttl=1e6)
    await stage.db.move_clock(timedelta(minutes=2))
    assert None not in await stage.launch_due(instance)
    claims = await stage.claim(instance)
    assert list(claims) == ["site_1"]
    await end(stage, instance, claims["site_1"].id, "completed")
    await look(stage)
    assert await stage.claim(instance) == {}
    await stage.db.run(confirm, role=bob)
    await look(stage)
    await stage.db.run(pause, role=bob)
    assert await stage.claim(instance) == {}
    await stage.db.run(resume, role=bob)
    claims = await stage.claim(instance)
    assert len(claims) == 3
    row = await launch_row(stage, SCRIPT)
    assert (row["wave"], row["confirm_within"]) == (2, timedelta(hours=4))
    for site, claim in claims.items():
        await end(stage, instance, claim.id, "offline" if site == "site_3" else "completed")
    await housekeeping(stage.store)
    await stage.db.run(retry, role=bob)
    assert list(await stage.claim(instance)) == ["site_3"]
    await stage.db.run(cap, role=bob)
    assert [tuple(row) for row in await stage.db.fetch("select * from tminus.tag_use()")] == [("pop:berlin", 5, 0)]

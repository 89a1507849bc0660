"""The examples of docs/runs.md, run verbatim, in their order."""

from __future__ import annotations

import re
from pathlib import Path

from tests.acceptance.test_readme import run_psql
from tests.store.stage import HOST_KEY
from tests.support import Db

_PAGE = (Path(__file__).parents[2] / "docs/runs.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"<!-- test: (\w+) -->\n```sql\n(.*?)```", _PAGE, re.DOTALL)


async def test_the_examples_of_the_page_do_what_it_says(database: Db) -> None:
    await database.run(
        "insert into tminus.sites (id, name, address, host_key) values ('site_41', 'Berlin edge', '192.0.2.41', null),"
        f" ('lab-1', 'Lab', '192.0.2.99', '{HOST_KEY}')",
        role="api",
    )
    await database.run(
        "insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl, credentials, test_sites)"
        " values (gen_random_uuid(), 'lab', 'lab', 1, '1', 1, '1 hour', '{default}', '{lab-1}')"
    )
    assert len(_EXAMPLES) == _PAGE.count("```sql")
    for who, sql in _EXAMPLES:
        await run_psql(database.dsn if who == "owner" else database.dsn_as(who), sql)
        if "Second uplink" in sql:
            await database.value(
                "select tminus.authorize(id, tminus.digest(id)) from tminus.scheduled_scripts", role="bob"
            )
    checked = (await database.fetch("select * from tminus.scheduled_scripts where description = 'Second uplink'"))[0]
    assert len(checked["post_checks"]) == 2
    assert checked["run_now_by"] == "bob"
    [test] = await database.fetch("select * from tminus.launches where kind = 'test'")
    assert (test["script_id"], test["sites"], test["created_by"]) == (checked["id"], ["lab-1"], "alice")
    assert await database.value("select require_test from tminus.policy")

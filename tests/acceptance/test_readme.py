"""The examples of README.md, run verbatim with psql by the roles that they name."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.acceptance.test_cli import NOT_A_CLIENTS
from tests.support import Db, clean_environment
from tminus.domain.news import NewsKind
from tminus.store.embedded import psql

_ROOT = Path(__file__).parents[2]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"<!-- test: (\w+) -->\n```sql\n(.*?)```", _README, re.DOTALL)


async def run_psql(dsn: str, sql: str) -> str:
    """Run SQL as a person would, and fail at the first error."""
    process = await asyncio.create_subprocess_exec(
        psql(), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--tuples-only", "--no-align", dsn,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=clean_environment(),
    )  # fmt: skip
    out, err = await process.communicate(sql.encode())
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_examples_of_the_readme_do_what_it_says(database: Db) -> None:
    script = "018f5bda-4690-4432-8472-358b2734f19b"
    status = []
    for who, sql in _EXAMPLES:
        await run_psql(database.dsn if who == "owner" else database.dsn_as(who), sql)
        status.append(await database.value("select status from tminus.scheduled_scripts where id = $1", script))
    #  site, contacts, insert, authorize, review, withdraw and authorize, findings, edit, read, cancel, cron, policy twice
    assert status == [
        None,
        None,
        "unauthorized",
        "scheduled",
        "scheduled",
        "scheduled",
        "scheduled",
        "unauthorized",
        "unauthorized",
        "cancelled",
        "cancelled",
        "cancelled",
        "cancelled",
    ]
    assert await database.value("select count(*) from tminus.scheduled_scripts where cron is not null") == 1
    assert await database.value("select approval from tminus.policy") == "off"


async def test_the_readme_explains_each_column_that_an_author_may_set(database: Db) -> None:
    table = _README.split("### Columns of a scheduled script")[1].split("### ")[0]
    explained = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`(\w+)`", line.split("|")[1] if "|" in line else "")
    }
    columns = await database.fetch(
        "select attname::text as name from pg_attribute where attrelid = 'tminus.scheduled_scripts'::regclass and attnum > 0"
        " and not attisdropped"
    )
    assert explained == {row["name"] for row in columns} - NOT_A_CLIENTS


def test_the_readme_lists_all_news() -> None:
    table = _README.split("| news | told when |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[1:]))) == sorted(
        NewsKind
    )


def test_every_test_that_the_readme_names_exists() -> None:
    tests = Path(__file__).parents[1]
    table = _README.split("## What it promises")[1].split("## Quick start")[0]
    for name in set(re.findall(r"`(test_\w+)`", table)):
        assert list(tests.rglob(f"{name}.py")), f"README names {name}, which is not there"


def test_the_readme_leads_to_every_page_and_to_none_that_is_not_there() -> None:
    pages = {f"docs/{page.name}" for page in (_ROOT / "docs").glob("*.md")}
    named = set(re.findall(r"`(docs/[\w-]+\.md)`", _README))
    behind = {
        f"docs/{name}"
        for page in pages & named
        for name in re.findall(r"`(?:docs/)?([\w-]+\.md)`", (_ROOT / page).read_text(encoding="utf-8"))
    }
    assert named <= pages
    assert pages <= named | behind

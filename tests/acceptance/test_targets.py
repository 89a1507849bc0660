"""Guards, as a daemon takes them to simulated routers; and the examples of docs/targets.md, run verbatim."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from tests.acceptance.test_readme import run_psql
from tests.support import Db, run_daemon, until
from tminus.simulator import FleetSpec, Kind, SiteSpec, simulate

_PAGE = (Path(__file__).parents[2] / "docs/targets.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"<!-- test: (\w+) -->\n```sql\n(.*?)```", _PAGE, re.DOTALL)
SCRIPT = "/ip dns static add name=guarded.example address=192.0.2.1\n"


async def test_guards_are_asked_before_anything_is_uploaded(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="old", version="7.12.2"), SiteSpec(id="new", version="7.20.8")))
    asked: list[tuple[dict[str, object], dict[str, str]]] = [
        (
            {"guard_version": ">=7.16 <8"},
            {"old": "runs RouterOS 7.12.2 (stable), and guard_version asks for >=7.16 <8"},
        ),
        ({"guard_free_space": 10**15}, dict.fromkeys(("old", "new"), "bytes free, and guard_free_space asks for")),
        ({"guard_uptime": timedelta(days=3650)}, dict.fromkeys(("old", "new"), "and guard_uptime asks for 3650 days")),
        ({"guard_cpu_load": 0}, dict.fromkeys(("old", "new"), "loaded with 1 %, and guard_cpu_load allows 0 %")),
        (
            {"guard_version": ">=7", "guard_free_space": 1, "guard_uptime": timedelta(seconds=1), "guard_cpu_load": 90},
            {},
        ),
    ]
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        for number, (guards, broken) in enumerate(asked):
            script = await database.submit(SCRIPT.replace("guarded", f"g{number}"), **guards)
            for site, run in (await database.finished(script)).items():
                ended = (run["state"], run["reason"], run["effect"])
                if site in broken:
                    assert (site, ended) == (site, ("failed", "guard_failed", "none"))
                    assert broken[site] in run["message"]
                    assert run["message"].endswith("Nothing was run.")
                else:
                    assert (site, ended) == (site, ("completed", None, "applied")), run["message"]
        assert (len(fleet.journal.starts("old")), len(fleet.journal.starts("new"))) == (1, 2)
        uploads = {site: len(fleet.journal.events(site, Kind.UPLOAD)) for site in ("old", "new")}
        assert uploads == {"old": 1, "new": 2}


async def test_a_rehearsal_tells_which_guard_does_not_hold_and_how_much_space_is_free(
    database: Db, tmp_path: Path
) -> None:
    spec = FleetSpec(site_specs=(SiteSpec(id="old", version="7.12.2"), SiteSpec(id="new", version="7.20.8")))
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        script = await database.submit(SCRIPT, due_in=86400, guard_version=">7.12.2")
        launch = await database.value("select tminus.rehearse($1)", script, role="alice")

        async def over() -> bool:
            return await database.value("select finished_at is not null from tminus.launches where id = $1", launch)

        await until(over, within=30)
        runs = await database.site_runs(script)
        assert (runs["old"]["reason"], runs["new"]["reason"]) == ("guard_failed", "rehearsed")
        assert runs["new"]["message"].endswith(f" {fleet.router('new').free_storage} bytes of its space are free.")
        assert not fleet.journal.starts("old")
        assert not fleet.journal.starts("new")


async def test_the_examples_of_the_page_do_what_it_says(database: Db) -> None:
    await database.run(
        "insert into tminus.sites (id, name, address) values ('site_41', 'Berlin edge', '192.0.2.41')", role="api"
    )
    assert len(_EXAMPLES) == _PAGE.count("```sql")
    for who, sql in _EXAMPLES:
        await run_psql(database.dsn_as(who), sql)
    guarded = (await database.fetch("select * from tminus.scheduled_scripts where description = 'New resolver'"))[0]
    assert (guarded["guard_version"], guarded["guard_free_space"]) == (">=7.12 <8", 2000000)
    assert (guarded["guard_uptime"], guarded["guard_cpu_load"]) == (timedelta(minutes=10), 80)

"""Guards, as a daemon takes them to simulated routers; and the examples of docs/targets.md, run verbatim."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

from tests.acceptance.test_cli import Cli
from tests.acceptance.test_readme import run_psql
from tests.support import Db, run_daemon, until
from tminus.routeros.survey import SPACE
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
        assert runs["new"]["warnings"] == []
        assert not fleet.journal.starts("old")
        assert not fleet.journal.starts("new")


async def test_a_rehearsal_warns_of_a_router_that_is_nearly_full(database: Db, tmp_path: Path) -> None:
    async with simulate(FleetSpec(sites=2)) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        full, roomy = await database.site_ids()
        fleet.router(full).free_storage = SPACE - 1
        fleet.router(roomy).free_storage = SPACE
        answer = (
            await Cli(database).ok("rehearse", str(await database.submit(SCRIPT, due_in=86400)), login="alice")
        ).out
        assert "2 of 2 sites are ready." in answer
        assert f"{full}: The router is nearly full: only 2047 KiB of storage are free, less than 2048 KiB." in answer
        assert roomy not in answer


AWKWARD = 'a"; /system reset-configuration; :put "b\\ $(x) $y [:len 1] ?\n# é\t'
RENDERED = (
    ':put "<$(text)>"\n:local n ($(number) + 1)\n:put $n\n'
    '/ip dns static add name=$(name) address="192.0.2.$(number)" disabled=$(off)\n'
)


async def test_a_router_gets_its_own_values_and_reads_them_as_they_are(database: Db, tmp_path: Path) -> None:
    spec = FleetSpec(
        site_specs=(
            SiteSpec(id="r1", version="7.20.8"),
            SiteSpec(id="r2", version="7.20.8"),
            SiteSpec(id="r3", version="7.20.8"),
        )
    )
    async with simulate(spec) as fleet, run_daemon(database, tmp_path, fleet):
        await database.run(fleet.inventory_sql(None))
        await database.value(
            "update tminus.sites set variables = jsonb_build_object('name', id, 'text', $1::text)", AWKWARD
        )
        await database.run("update tminus.sites set variables = variables || '{\"number\": 8}' where id = 'r2'")
        script = await database.submit(RENDERED, due_in=2, variables='{"number": 7, "off": true}')
        # After it was authorized: that site fails alone.
        await database.run(
            "update tminus.sites set variables = variables || '{\"name\": \"else\"}' where id = 'r3'", role="api"
        )
        runs = await database.finished(script)
        for site, number in (("r1", 7), ("r2", 8)):
            assert (runs[site]["state"], runs[site]["effect"]) == ("completed", "applied"), runs[site]["message"]
            assert f"\n{number + 1}\n" in runs[site]["output"]
            assert '<a"; /system reset-configuration; :put "b\\ $(x) $y [:len 1] ?' in runs[site]["output"]
            added = [line for line in runs[site]["diff"].splitlines() if line.startswith("+add")]
            assert added == [f"+add address=192.0.2.{number} disabled=yes name={site}"]
        assert (runs["r3"]["state"], runs["r3"]["reason"], runs["r3"]["effect"]) == ("failed", "site_changed", "none")
        assert not fleet.journal.events("r3", Kind.LOGIN)
        assert not any(fleet.journal.events(site, Kind.RESET) for site in ("r1", "r2"))


async def test_what_cannot_be_rendered_fails_before_anything_is_sent(database: Db, tmp_path: Path) -> None:
    bodies = {
        ':put "\\\\$(nowhere)"\n': "names $(nowhere), and neither the site nor",
        "/system script add name=s source=$(x)\n": "in line 1 stands in code that the router keeps",
        "/ip address add address=$(x)/24\n": "cannot be read as RouterOS",
    }
    async with (
        simulate(FleetSpec(site_specs=(SiteSpec(id="r1", version="7.20.8"),))) as fleet,
        run_daemon(database, tmp_path, fleet),
    ):
        await database.run(fleet.inventory_sql(None))
        for body, said in bodies.items():
            run = (await database.finished(await database.submit(body, variables='{"x": "192.0.2.1"}')))["r1"]
            assert (run["state"], run["reason"], run["effect"]) == ("failed", "script_rejected", "none")
            assert said in run["message"]
            assert run["message"].endswith("Nothing was sent.")
        assert not fleet.journal.events("r1", Kind.LOGIN)


async def test_the_command_line_submits_with_variables_and_shows_each_rendering(database: Db) -> None:
    cli = Cli(database)
    await cli.ok("site", "import", "-", login="api", stdin="id,address\none,192.0.2.1\ntwo,192.0.2.2\n")
    await database.run("update tminus.sites set variables = '{\"ip\": \"192.0.2.9\"}' where id = 'two'", role="api")
    submitted = await cli.ok(
        "submit", "-", "--site", "two", "--in", "1h", "--var", "n=5", "--var", "who=a=b", "--json",
        login="alice", stdin=':put "$(ip) $(who)"\n:put $(n)\n',
    )  # fmt: skip
    script = json.loads(submitted.out)["id"]
    assert json.loads(submitted.out)["variables"] == {"n": 5, "who": "a=b"}
    shown = await cli.ok("render", script, "two", login="bob")
    assert shown.out == ':put "192.0.2.9 a=b"\n:put 5\n'
    as_json = json.loads((await cli.ok("render", script, "two", "--json", login="bob")).out)
    assert as_json["variables"] == {"ip": "192.0.2.9", "n": 5, "who": "a=b"}
    missing = await cli("render", script, "one", login="bob")
    assert missing.code != 0
    assert "names $(ip), and neither the site nor" in missing.err


async def test_the_examples_of_the_page_do_what_it_says(database: Db) -> None:
    await database.run(
        "insert into tminus.sites (id, name, address, tags) values ('site_41', 'Berlin edge', '192.0.2.41', '{edge}')",
        role="api",
    )
    await database.run("update tminus.sites set version = '7.20.8 (stable)', model = 'RB5009UG+S+'")
    assert len(_EXAMPLES) == _PAGE.count("```sql")
    for who, sql in _EXAMPLES:
        await run_psql(database.dsn_as(who), sql)
    guarded = (await database.fetch("select * from tminus.scheduled_scripts where description = 'New resolver'"))[0]
    assert (guarded["guard_version"], guarded["guard_free_space"]) == (">=7.12 <8", 2000000)
    assert (guarded["guard_uptime"], guarded["guard_cpu_load"]) == (timedelta(minutes=10), 80)
    templated = (
        await database.fetch("select * from tminus.scheduled_scripts where description = 'Names from the inventory'")
    )[0]
    assert json.loads(templated["variables"]) == {"area": "Berlin", "resolver": "192.0.2.53"}
    rendered = await database.value("select tminus.variables_of($1, 'site_41')", templated["id"])
    assert json.loads(rendered) == {"area": "Berlin", "lan": "10.41.0.1", "resolver": "192.0.2.54"}
    edges = (await database.fetch("select sites from tminus.scheduled_scripts where description = 'All edges'"))[0]
    assert edges["sites"] == ["site_41"]


async def test_the_command_line_takes_a_query_and_finds_its_sites(database: Db) -> None:
    cli = Cli(database)
    sites = "id,address,tags\none,192.0.2.1,edge\ntwo,192.0.2.2,edge;lab\n"
    await cli.ok("site", "import", "-", login="api", stdin=sites)
    query = '{"tags": ["edge"], "not_tags": ["lab"]}'
    submitted = await cli.ok("submit", "-", "--site-query", query, "--in", "1h", login="alice", stdin=":put 1")
    script = submitted.out.split()[1]
    assert f"Next: tminus resolve-sites {script}" in submitted.out
    again = await cli.ok(
        "submit", "-", "--site-query", query, "--in", "1h", "--id", script, login="alice", stdin=":put 1"
    )
    assert again.out.startswith("was submitted already:")
    found = await cli.ok("resolve-sites", script, login="alice")
    assert found.out.startswith("one  192.0.2.1  never seen, no pinned key\n1 site; digest tminus1:")
    digest = found.out.split()[-1]
    again = await cli.ok(
        "submit", "-", "--site-query", query, "--in", "1h", "--id", script, login="alice", stdin=":put 1"
    )
    assert again.out.startswith("was submitted already:")
    await cli.ok("authorize", script, "--digest", digest, login="bob")
    refused = await cli("resolve-sites", script, login="alice")
    assert refused.code != 0
    assert "its sites stay as they are" in refused.err


async def test_a_review_shows_guards_variables_and_what_a_site_is_given(database: Db) -> None:
    cli = Cli(database)
    await cli.ok("site", "import", "-", login="api", stdin="id,address\none,192.0.2.1\ntwo,192.0.2.2\n")
    await database.run("""update tminus.sites set variables = '{"lan": "a\\"b"}' where id = 'one'""", role="api")
    submitted = await cli.ok(
        *("submit", "-", "--site", "two", "--site", "one", "--in", "1h", "--var", "n=5", "--guard-version", ">=7.12"),
        login="alice",
        stdin=':log info "$(lan) $(n)"',
    )
    script = submitted.out.split()[1]
    shown = (await cli.ok("review", script, login="bob")).out
    assert "RouterOS is >=7.12" in shown
    assert r'$(lan)="a\"b" $(n)=5' in shown
    assert "On two nothing would be run: The script names $(lan)" in shown
    assert "As one is given it" in shown
    assert r':log info "a\22b 5"' in shown
    everyone = (await cli.ok("review", script, "--all", login="bob")).out.splitlines()
    assert [line.split()[0] for line in everyone] == ["two", "one"]
    assert everyone[0].endswith("$(n)=5")

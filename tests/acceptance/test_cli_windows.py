"""`tminus window` and `tminus cap`: set, list and remove, who may, and what makes none."""

from __future__ import annotations

import pytest

from tests.acceptance.test_cli import Cli
from tests.store.stage import add_sites
from tests.support import Db
from tminus.domain.windows import Span
from tminus.store import windows
from tminus.store.pool import open_database


async def plan(database: Db) -> None:
    """What the daemon does: write when each window is open. Here all of them for the hours around now."""
    now = await database.value("select tminus.clock()")
    async with open_database(database.dsn_as("tminus_serve"), size=1, application="test") as store:
        for window in await windows.unplanned_windows(store, limit=10):
            hour = now.replace(minute=0, second=0, microsecond=0)
            assert await windows.plan_window(store, window, Span(hour, hour.replace(year=hour.year + 1)))


async def test_a_window_is_made_replaced_listed_and_removed(database: Db) -> None:
    cli = Cli(database)
    await add_sites(database, "a")
    assert "starts are allowed at any time" in (await cli.ok("window", "list", login="rita")).err
    made = await cli.ok(
        *("window", "set", "nights", "--weekly", "Mon-Thu 22:00-04:00", "--weekly", "sat,sun 00:00-24:00"),
        *("--span", "2030-12-24T12:00/2030-12-26T20:00Z", "--timezone", "Europe/Berlin"),
        login="api",
    )
    assert made.out.startswith("made window nights, scripts that name it; it is closed until a daemon has planned it")
    (shown,) = (await cli.ok("window", "list", "--json", login="rita")).json()
    assert (shown["weekly"], shown["timezone"]) == (["mon-thu 22:00-04:00", "sat,sun 00:00-24:00"], "Europe/Berlin")
    assert shown["spans"] == [{"from": "2030-12-24T11:00:00.000000Z", "to": "2030-12-26T20:00:00.000000Z"}]
    assert (shown["scope"], shown["tag"], shown["is_open"]) == ("named", None, False)
    assert "closed: not planned yet" in (await cli.ok("window", "list", login="rita")).out
    await plan(database)
    assert (await cli.ok("window", "list", "--json", login="rita")).json()[0]["is_open"] is True

    replaced = await cli.ok("window", "set", "nights", "--weekly", "daily 01:00-02:00", "--tag", "core", login="api")
    assert replaced.out.startswith("replaced window nights, sites with the tag core;")
    assert replaced.err == "tminus: no site has the tag 'core' now\n"
    (shown,) = (await cli.ok("window", "list", "--json", login="rita")).json()
    assert (shown["weekly"], shown["spans"], shown["scope"]) == (["daily 01:00-02:00"], [], "tag")
    assert (shown["timezone"], shown["is_open"]) == ("UTC", False)

    await cli.ok("window", "set", "everywhere", "--weekly", "daily 00:00-24:00", "--all-sites", login="api")
    script = await cli.ok(
        "submit", "-", "--site", "a", "--in", "1h", "--window", "nights", login="alice", stdin=":put 1"
    )
    (await cli("window", "remove", "nights", login="api")).refused("names the window 'nights'", "cancel it first")
    await cli.ok("cancel", script.out.split()[1], "--yes", login="alice")
    assert (await cli.ok("window", "remove", "nights", login="api")).out == "removed window nights\n"
    (await cli("window", "remove", "nights", login="api")).refused("no window 'nights'", code=2)
    listed = await cli.ok("window", "list", login="rita")
    assert ("everywhere" in listed.out, "all sites" in listed.out, "nights" in listed.out) == (True, True, False)
    events = await database.fetch("select kind, principal from tminus.events where kind like 'window%' order by id")
    assert [tuple(row) for row in events] == [("window_set", "api")] * 3 + [("window_removed", "api")]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["say when it is open"]),
        (("--weekly", "always"), ["weekly rule 'always'", "mon-thu 22:00-04:00"]),
        (("--weekly", "daily 01:00-25:00"), ["weekly rule"]),
        (("--span", "2030-12-24T12:00Z"), ["--span", "FROM/TO"]),
        (("--span", "2030-12-24T12:00Z/"), ["--span", "no ISO 8601 time"]),
        (("--span", "2030-12-24T12:00Z/2030-12-24T12:00Z"), ["ends before it begins"]),
        (("--weekly", "daily 01:00-02:00", "--timezone", "Mars"), ["Mars"]),
        (("--weekly", "daily 01:00-02:00", "--tag", "x", "--all-sites"), ["either --tag or --all-sites"]),
    ],
)
async def test_what_makes_no_window_is_one_sentence(database: Db, options: tuple[str, ...], words: list[str]) -> None:
    cli = Cli(database)
    (await cli("window", "set", "w", *options, login="api")).refused(*words)
    assert await database.fetch("select from tminus.windows") == []


async def test_who_keeps_no_windows_changes_none(database: Db) -> None:
    cli = Cli(database)
    for login in ("alice", "bob", "rita"):
        refused = await cli("window", "set", "w", "--weekly", "daily 01:00-02:00", login=login)
        refused.refused("permission denied", code=1)
    await cli.ok("window", "set", "w", "--weekly", "daily 01:00-02:00", login="api")
    (await cli("window", "remove", "w", login="bob")).refused("permission denied", code=1)
    assert await database.value("select count(*) from tminus.windows") == 1


async def test_a_cap_is_set_changed_listed_and_removed(database: Db) -> None:
    cli = Cli(database)
    await add_sites(database, "a", "b")
    await database.run("update tminus.sites set tags = '{pop:berlin}'", role="api")
    assert (await cli.ok("cap", "list", login="rita")).err == "no tag is capped\n"
    said = await cli.ok("cap", "set", "pop:berlin", "5", login="bob")
    assert (said.out, said.err) == ("at most 5 at once on 2 sites with the tag pop:berlin\n", "")
    await cli.ok("cap", "set", "pop:berlin", "0", "--as", "carol", login="api")
    (shown,) = (await cli.ok("cap", "list", "--json", login="rita")).json()
    names = ("tag", "max_running", "running", "sites", "set_by")
    assert [shown[name] for name in names] == ["pop:berlin", 0, 0, 2, "carol"]
    assert "pop:berlin" in (await cli.ok("cap", "list", login="rita")).out
    assert (await cli.ok("cap", "set", "croe", "1", login="bob")).err == "tminus: no site has the tag 'croe' now\n"
    assert (await cli.ok("cap", "remove", "croe", login="bob")).out == "no cap on the tag croe any more\n"
    (await cli("cap", "remove", "croe", login="bob")).refused("no cap on the tag 'croe'", code=2)
    (await cli("cap", "set", "pop:berlin", "-1", login="bob")).refused("-1")
    (await cli("cap", "set", "pop:berlin", "many", login="bob")).refused("'many'", "0 to 100000", code=2)
    (await cli("cap", "set", "a\nb", "1", login="bob")).refused("printable characters", code=1)
    (await cli("cap", "set", "pop:berlin", "9", login="alice")).refused("alice may not cap a tag", code=1)
    (await cli("cap", "remove", "pop:berlin", login="alice")).refused("alice may not cap a tag", code=1)
    assert await database.value("select max_running from tminus.tag_caps") == 0

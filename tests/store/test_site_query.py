"""A query in place of a list of sites: what it means, when it is resolved, and what follows for the authorization."""

from __future__ import annotations

import json
import random
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert_sql, refused
from tests.unit.test_guards import version
from tminus.routeros.facts import is_version_in

pytestmark = pytest.mark.asyncio(loop_scope="module")

EDGE = {"tags": ["edge"], "not_tags": ["lab"], "version": ">=7.12 <8"}
TAGS = ["edge", "core", "lab", "pop:berlin", "pop:köln"]
VERSIONS = [None, "6.49.10 (long-term)", "7.9 (stable)", "7.12rc1", "7.12 (stable)", "7.20.8 (stable)", "8.0beta1"]
MODELS = [None, "RB5009UG+S+", "RB5009UPr+S+", "CCR2116-12G-4S+", "hAP ac^3"]
PATTERNS = {"RB5009%": "rb5009*", "%ac^3": "*ac^3", "ccr2116-12g-4s+": "ccr2116-12g-4s+", "%": "*"}


def wish(query: object, **columns: object) -> tuple[str, list[object]]:
    given = {"site_query": json.dumps(query), "sites": None, **columns}
    return insert_sql(given), list(given.values())


async def submitted(stage: Stage, query: object = EDGE, **columns: object) -> Any:
    sql, values = wish(query, **columns)
    return await stage.db.value(sql, *values, role="alice")


async def inventory(stage: Stage) -> None:
    await add_sites(stage.db, "berlin", "lab", "old", "off", "new")
    await stage.db.fetch(
        "update tminus.sites s set tags = f.tags, version = f.version, enabled = f.enabled from (values"
        " ('berlin', '{edge,core}'::text[], '7.20.8 (stable)', true), ('lab', '{edge,lab}', '7.20.8 (stable)', true),"
        " ('old', '{edge}', '7.9', true), ('off', '{edge}', '7.20', false), ('new', '{edge}', null, true)"
        ") as f (id, tags, version, enabled) where f.id = s.id"
    )


def means(query: dict[str, Any], site: dict[str, Any]) -> bool:
    """The words of docs/targets.md, in Python."""
    tags, text, model = set(site["tags"]), site["version"], site["model"]
    return (
        site["enabled"]
        and set(query.get("tags", [])) <= tags
        and ("any_tags" not in query or bool(tags & set(query["any_tags"])))
        and not tags & set(query.get("not_tags", []))
        and ("version" not in query or (text is not None and is_version_in(version(text), query["version"])))
        and ("model" not in query or (model is not None and fnmatchcase(model.lower(), PATTERNS[query["model"]])))
    )


async def test_a_query_means_what_its_words_say_over_many_sites_and_queries(stage: Stage) -> None:
    chance = random.Random(7)
    sites = [
        {
            "id": f"s{number:03}",
            "tags": chance.sample(TAGS, chance.randint(0, 3)),
            "version": chance.choice(VERSIONS),
            "model": chance.choice(MODELS),
            "enabled": chance.random() < 0.8,
        }
        for number in range(200)
    ]
    await stage.db.fetch(
        "insert into tminus.sites (id, name, address, tags, version, model, enabled)"
        " select id, id, 'router-' || id, tags, version, model, enabled"
        " from jsonb_to_recordset($1) as f (id text, tags text[], version text, model text, enabled boolean)",
        json.dumps(sites),
    )
    counts = []
    for _ in range(150):
        asked: dict[str, Any] = {
            "tags": chance.sample(TAGS, chance.randint(1, 2)),
            "any_tags": chance.sample(TAGS, 2),
            "not_tags": chance.sample(TAGS, 1),
            "version": chance.choice([">=7.12 <8", "<7", "=7.9", ">=7.9 <7.12"]),
            "model": chance.choice(list(PATTERNS)),
        }
        query = {key: asked[key] for key in chance.sample(list(asked), chance.randint(1, 3))}
        found = await stage.db.value("select tminus.matching_sites(tminus.plain_site_query($1))", json.dumps(query))
        assert (query, found) == (query, [site["id"] for site in sites if means(query, site)])
        counts.append(len(found))
    assert max(counts) > 20
    assert 0 in counts


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({}, "site_query is a JSON object that asks for something"),
        ([], "site_query is a JSON object"),
        ("edge", "site_query is a JSON object"),
        (None, "site_query is a JSON object"),
        ({"tag": ["edge"]}, "'tag' is nothing to ask for"),
        ({"tags": "edge"}, "tags is a list of 1 to 100 tags"),
        ({"tags": []}, "tags is a list of 1 to 100 tags"),
        ({"not_tags": [1]}, "not_tags is a list of 1 to 100 tags"),
        ({"any_tags": [""]}, "any_tags is a list of 1 to 100 tags"),
        ({"version": "new"}, "site_query: version 'new' is no range of versions"),
        ({"version": " "}, "version is a text"),
        ({"version": 7}, "version is a text"),
        ({"model": ""}, "model is a text"),
    ],
)
async def test_a_query_that_says_nothing_clear_is_refused(stage: Stage, query: object, says: str) -> None:
    sql, values = wish(query)
    assert says in await refused(stage.db, "alice", sql, *values)


async def test_sites_and_a_query_at_once_are_refused(stage: Stage) -> None:
    await inventory(stage)
    sql, values = wish(EDGE, sites=["berlin"])
    assert "give sites or site_query, not both" in await refused(stage.db, "alice", sql, *values)
    sql, values = insert_sql({"sites": None}), [None]
    assert "at least one site" in await refused(stage.db, "alice", sql, *values)


async def test_a_query_is_resolved_shown_and_fixed_by_the_digest(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage)
    assert (await stage.row(script))["sites"] == []
    for sql, role in (
        ("select tminus.authorize($1, tminus.digest($1))", "bob"),
        ("select tminus.rehearse($1)", "alice"),
    ):
        assert "was not resolved yet" in await refused(stage.db, role, sql, script)
    shown = json.loads(await stage.db.value("select tminus.resolve_sites($1)", script, role="alice"))
    assert (shown["sites"], shown["site_query"]) == (["berlin"], EDGE)
    row = await stage.row(script)
    assert (row["status"], row["updated_by"], row["updated_at"]) == ("unauthorized", "alice", row["created_at"])
    assert [event["principal"] for event in await stage.events("sites_resolved")] == ["alice"]
    assert not await stage.events("edited")
    await authorize(stage.db, script)
    # What the query would mean now is no matter any more.
    await stage.db.fetch("update tminus.sites set version = '7.20' where id in ('old', 'new')")
    assert "its sites stay as they are" in await refused(stage.db, "alice", "select tminus.resolve_sites($1)", script)
    row = await stage.row(script)
    assert (row["status"], row["sites"]) == ("scheduled", ["berlin"])
    named = await stage.db.fetch("select site_id from tminus.scheduled_script_sites where script_id = $1", script)
    assert [each["site_id"] for each in named] == ["berlin"]


async def test_a_new_resolution_changes_what_is_to_be_authorized(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage)
    await stage.db.value("select tminus.resolve_sites($1)", script, role="bob")
    seen = await stage.db.value("select tminus.digest($1)", script)
    await stage.db.fetch("update tminus.sites set version = '7.20' where id = 'old'")
    await stage.db.value("select tminus.resolve_sites($1)", script, role="bob")
    assert (await stage.row(script))["sites"] == ["berlin", "old"]
    assert "the digest does not match" in await refused(
        stage.db, "bob", "select tminus.authorize($1, $2)", script, seen
    )


async def test_no_site_is_an_error(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage, {"tags": ["nowhere"]})
    said = await refused(stage.db, "alice", "select tminus.resolve_sites($1)", script)
    assert 'means no site: {"tags": ["nowhere"]}' in said
    assert (await stage.row(script))["sites"] == []


async def test_an_edit_of_the_query_empties_the_resolution_and_resets(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage)
    await stage.db.value("select tminus.resolve_sites($1)", script, role="alice")
    await authorize(stage.db, script)
    edit = "update tminus.scheduled_scripts set site_query = $2 where id = $1"
    await stage.db.fetch(edit, script, json.dumps(EDGE), role="alice")
    assert (await stage.row(script))["status"] == "scheduled"
    await stage.db.fetch(edit, script, '{"tags": ["core"]}', role="alice")
    row = await stage.row(script)
    assert (row["status"], row["sites"]) == ("unauthorized", [])


async def test_resolved_sites_are_not_a_clients_to_edit(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage)
    edit = "update tminus.scheduled_scripts set sites = $2 where id = $1"
    said = await refused(stage.db, "alice", edit, script, ["old"])
    assert "are what its site_query means" in said
    both = "update tminus.scheduled_scripts set sites = '{old}', site_query = null where id = $1"
    await stage.db.fetch(both, script, role="alice")
    row = await stage.row(script)
    assert (row["sites"], row["site_query"]) == (["old"], None)


async def test_another_author_does_not_resolve(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage)
    said = await refused(stage.db, "arthur", "select tminus.resolve_sites($1)", script)
    assert "may not resolve its sites" in said


async def test_what_was_never_resolved_ends_without_a_site_run(stage: Stage) -> None:
    await inventory(stage)
    script = await submitted(stage)
    await stage.db.fetch(
        "select tminus.resolve_sites(id) from tminus.scheduled_scripts where site_query is null", role="alice"
    )
    await stage.db.move_clock(timedelta(hours=3))
    await stage.db.value("select tminus.settle_late(10)", role="tminus_serve")
    assert (await stage.row(script))["status"] == "cancelled"
    assert not await stage.db.site_runs(script)

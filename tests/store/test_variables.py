"""Variables in the database: what they may be, which of them count, and that nobody authorizes a script that lacks one."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from tests.store.stage import Stage, add_sites, authorize, insert, insert_sql, refused
from tminus.domain.digest import site_digest
from tminus.domain.variables import digest_field, named_values, names_in
from tminus.store import launches

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPT = ':put $(a)\n:put "$(b)"\n# $(comment)\n:put "\\$(literal)"\n'


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ([], "variables is a JSON object"),
        ({"a": None}, "the value of a is no text"),
        ({"a": {}}, "the value of a is no text"),
        ({"a": ["x"]}, "the value of a is no text"),
        ({"a": 1.5}, "the value of a is no text"),
        ({"a": 10**18}, "the value of a is no text"),
        ({"a": "x" * 8193}, "the value of a is no text"),
        ({"": 1}, "'' is no name of a variable"),
        ({"1a": 1}, "'1a' is no name of a variable"),
        ({"a b": 1}, "'a b' is no name of a variable"),
        ({"ä": 1}, "'ä' is no name of a variable"),
        ({"a" * 65: 1}, "is no name of a variable"),
        ({f"a{n}": "x" * 8000 for n in range(9)}, "more than 65536 bytes"),
    ],
)
async def test_what_variables_may_not_be(stage: Stage, variables: object, says: str) -> None:
    await add_sites(stage.db, "a")
    text = json.dumps(variables)
    assert says in await refused(stage.db, "alice", insert_sql({"variables": text}), text)
    said = await refused(stage.db, "api", "update tminus.sites set variables = $1::jsonb", text)
    assert said.startswith("site a: variables")
    assert says in said


async def test_a_sites_own_value_comes_before_the_scheduled_scripts(stage: Stage) -> None:
    await add_sites(stage.db, "s")
    of_script = {"a": "script", "b": 5, "literal": True, "unnamed": "x"}
    await stage.db.fetch("update tminus.sites set variables = $1", json.dumps({"a": "é", "c": 1}), role="api")
    script = await insert(stage.db, script=SCRIPT, variables=json.dumps(of_script))
    found = json.loads(await stage.db.value("select tminus.variables_of($1, 's')", script, role="bob"))
    assert found == {"a": "é", "b": 5, "literal": True}
    assert found == named_values(names_in(SCRIPT), of_script, {"a": "é", "c": 1})
    field = await stage.db.value(
        "select tminus.variables_field(tminus.variable_names($1), $2, $3)", SCRIPT, json.dumps(of_script), '{"a": "é"}'
    )
    assert field == digest_field(found)
    assert await stage.db.value("select tminus.variables_of($1, 'nowhere')", script) is None


async def test_names_are_found_alike_in_sql_and_python(stage: Stage) -> None:
    odd = "$(b)$(B)$$(a)$(a-b_1)$( x)$(1x)$(x y)$(x$(y))\n$(ü)\\$(z)$(" + "n" * 64 + ")$(" + "m" * 65 + ")$(b)"
    for script in (SCRIPT, odd, "", ":put 1", "$(", "$()"):
        assert tuple(await stage.db.value("select tminus.variable_names($1)", script)) == names_in(script)


async def test_nobody_authorizes_a_script_that_names_what_a_site_has_not(stage: Stage) -> None:
    await add_sites(stage.db, "one", "two")
    await stage.db.fetch("update tminus.sites set variables = '{\"a\": 1}' where id = 'one'", role="api")
    script = await insert(stage.db, script=SCRIPT, sites=["one", "two"], variables='{"b": "x"}')
    said = await refused(stage.db, "bob", "select tminus.authorize($1, tminus.digest($1))", script)
    assert "site two has no variable a, and the scheduled script gives none" in said
    await stage.db.fetch("update tminus.sites set variables = '{\"a\": 2}' where id = 'two'", role="api")
    await authorize(stage.db, script)


async def test_only_what_the_script_names_counts(stage: Stage) -> None:
    await add_sites(stage.db, "s")
    variables = {"a": "1", "b": 2, "x": "unnamed"}
    await stage.db.fetch("update tminus.sites set variables = $1", json.dumps(variables), role="api")
    script = await insert(stage.db, script=SCRIPT)
    digest = await stage.db.value("select tminus.digest($1)", script)
    for name, value, counts in (("x", "2", False), ("a", 1, True), ("b", "2", True), ("comment", "x", True)):
        text = json.dumps(variables | {name: value})
        await stage.db.fetch("update tminus.sites set variables = $1", text, role="api")
        assert (name, await stage.db.value("select tminus.digest($1)", script) != digest) == (name, counts)


async def test_an_edit_of_variables_resets_the_authorization(stage: Stage) -> None:
    await add_sites(stage.db, "s")
    script = await insert(stage.db, script=SCRIPT, variables='{"a": 1, "b": 2}')
    await authorize(stage.db, script)
    await stage.db.value('update tminus.scheduled_scripts set variables = \'{"a": 2, "b": 2}\'', role="alice")
    assert (await stage.row(script))["status"] == "unauthorized"


async def test_a_claim_brings_what_the_digest_was_computed_of(stage: Stage) -> None:
    instance = await stage.instance()
    await add_sites(stage.db, "s")
    await stage.db.fetch('update tminus.sites set variables = \'{"a": "own", "other": 1}\'', role="api")
    await stage.db.submit(SCRIPT, ["s"], variables='{"a": "x", "b": true}')
    await stage.db.move_clock(timedelta(seconds=1))
    await stage.launch_due(instance)
    claim = (await stage.claim(instance))["s"]
    content = await launches.launch_content(stage.store, claim.launch_id)
    assert claim.authorized_site == site_digest(claim.site.part_of(content.names, content.variables))
    assert claim.authorized_site != site_digest(claim.site.part)

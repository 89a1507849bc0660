"""Signatures of further acts over HTTP: the text that is given to be signed is the one that a daemon verifies, act by act."""

from __future__ import annotations

import html
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.signing import NAMESPACE, Approver
from tests.store.stage import EMPTY, HOST_KEY, Stage
from tests.store.test_signed_acts import Scene, ended, scene
from tests.store.test_test_runs import LAB
from tests.store.test_waves import launch_row
from tests.web.boards import field_of, visitor
from tests.web.conftest import Api, Reply, serve_fresh, token
from tminus.store import launches
from tminus.store.pool import open_database

pytestmark = pytest.mark.asyncio(loop_scope="module")

SCRIPTS = "/scripts/scheduled"
STRICT = (
    "set session_replication_role = replica; insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl,"
    " requires_signature) values (gen_random_uuid(), 'strict', 'h', 1, '1', 1, '100 days', true)"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(postgres: str) -> AsyncIterator[Api]:
    async with serve_fresh(postgres, board=True) as api:
        yield api


@pytest_asyncio.fixture(loop_scope="module")
async def stage(api: Api, tmp_path: Path) -> AsyncIterator[Stage]:
    await api.db.run(EMPTY)
    async with open_database(api.db.dsn_as("tminus_serve"), size=2, application="tests") as store:
        yield Stage(api.db, store, tmp_path)  # type: ignore[arg-type]


async def stated(api: Api, script: object, act: str, **given: object) -> dict[str, Any]:
    """What bob is told to sign."""
    reply = await api("POST", f"{SCRIPTS}/{script}/statement", {"act": act, **given}, person="bob")
    answer: dict[str, Any] = reply.json()
    assert (answer["act"], answer["approver"], answer["namespace"]) == (act, "bob", NAMESPACE)
    assert answer["statement"].startswith(f"tminus authorization, version 1\nact: {act}\n")
    return answer


def signed(bob: Approver, answer: dict[str, Any], *fields: str) -> dict[str, Any]:
    """The body of the act: the signature of what was told, as a file with these bytes is signed, and what goes with it."""
    signature = bob.sign(answer["statement"].removesuffix("\n"))
    return {"signature": signature, **{name: answer[name] for name in ("expires", "statement", *fields)}}


async def do(api: Api, script: object, act: str, body: dict[str, Any]) -> Reply:
    return await api("POST", f"{SCRIPTS}/{script}/{act}", body, person="bob")


async def strict(made: Scene) -> Scene:
    await made.stage.db.run(STRICT)
    return made


async def test_a_launch_is_resumed_by_a_signature(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await strict(await scene(stage, tmp_path))
    (await do(api, made.script, "pause", {"note": "wait"})).json()
    authority = made.authority()
    assert "nobody signed" in (await made.why_not(authority, await made.content(), "s000") or "")
    (await do(api, made.script, "resume", {})).problem(409, "conflict", "only what its approver has signed")
    body = signed(made.bob, await stated(api, made.script, "resume"))
    (await do(api, made.script, "resume", body)).json()
    assert await made.why_not(authority, await made.content(), "s000") is None


async def test_a_wave_is_let_go_by_a_signature(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await strict(await scene(stage, tmp_path, wave_sizes=["1"], wave_confirm=True))
    await stage.run_through(made.instance, (await stage.claim(made.instance))["s000"].id)
    without = await api("POST", f"{SCRIPTS}/{made.script}/statement", {"act": "confirm"}, person="bob")
    assert list(without.problem(422, "invalid")["fields"]) == ["wave"]
    answer = await stated(api, made.script, "confirm", wave=2)
    other = await stated(api, made.script, "confirm", wave=3)
    (await do(api, made.script, "confirm-wave", signed(made.bob, other) | {"wave": 2})).problem(409, "stale_digest")
    authority = made.authority()
    assert "confirmed by a signature" in (await made.why_not(authority, await made.content(), "s001") or "")
    (await do(api, made.script, "confirm-wave", signed(made.bob, answer, "wave"))).json()
    assert await made.why_not(authority, await made.content(), "s001") is None


async def test_a_launch_is_retried_by_a_signature(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await strict(await ended(stage, tmp_path))
    (await do(api, made.script, "retry", {})).problem(409, "conflict", "only what its approver has signed")
    answer = await stated(api, made.script, "retry")
    assert answer["sites"] == ["s001", "s002"]
    body = signed(made.bob, answer, "launch_id", "sites", "new_launch_id")
    (await do(api, made.script, "retry", body | {"sites": ["s001"]})).problem(409, "stale_digest", "sign that")
    (await do(api, made.script, "retry", body | {"new_launch_id": None})).problem(409, "stale_digest")
    made_launch = (await do(api, made.script, "retry", body)).json(202)
    assert made_launch["id"] == answer["new_launch_id"]
    content = await made.content(answer["new_launch_id"])
    assert content.occasion.statement().text().decode() == answer["statement"]
    assert await made.why_not(made.authority(), content, "s001") is None


async def test_a_script_is_run_now_by_a_signature(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    script = (await api.submit(sites=["s000"], launch_at="2035-01-01T02:00:00Z"))["id"]
    await made.bob.authorize(stage.db, uuid.UUID(script))
    await strict(made)
    (await do(api, script, "run", {})).problem(409, "conflict", "only what its approver has signed")
    answer = await stated(api, script, "run_now")
    (await do(api, script, "run", signed(made.bob, answer, "new_launch_id"))).json()
    async with launches.due_scripts(stage.store, limit=5) as transaction:
        [due] = transaction.due
    assert due.occasion.statement().text().decode() == answer["statement"]
    assert str(due.run_now_launch) == answer["new_launch_id"]
    assert due.authorization.signature == made.bob.sign(answer["statement"].removesuffix("\n"))


async def test_a_script_is_tested_by_a_signature(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    await stage.instance(ttl=1e6, name="lab", reach=LAB)
    await stage.db.fetch(
        "insert into tminus.sites (id, name, address, host_key) values ('lab', 'lab', '192.0.2.7', $1)", HOST_KEY
    )
    await stage.db.fetch("update tminus.sites set allow_tests = true where id = 'lab'")
    script = (await api.submit(sites=["s000"], test_site_id="lab"))["id"]
    await strict(made)
    (await do(api, script, "test", {})).problem(409, "conflict", "only what its approver has signed")
    answer = await stated(api, script, "test")
    made_launch = (await do(api, script, "test", signed(made.bob, answer, "new_launch_id"))).json(202)
    assert made_launch["id"] == answer["new_launch_id"]
    content = await made.content(answer["new_launch_id"])
    assert content.occasion.statement().text().decode() == answer["statement"]


async def test_a_statement_is_the_databases_and_changes_nothing(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    script = uuid.UUID((await api.submit(sites=["s000"]))["id"])
    before = await stage.db.value("select count(*) from tminus.events")
    answer = await stated(api, script, "launch")
    text = await stage.db.value("select tminus.statement($1, 'bob')", script)
    assert (answer["statement"], answer["expires"]) == (f"{text}\n", None)
    until = "2035-01-01T00:00:00.000000Z"
    assert f"expires: {until}\n" in (await stated(api, script, "launch", expires=until))["statement"]
    chosen = str(uuid.uuid4())
    assert (
        f"launch: {chosen}\n"
        in (await stated(api, made.script, "retry", new_launch_id=chosen, sites=["s000"]))["statement"]
    )
    view = token("bob", "script:view")
    assert (await api("POST", f"{SCRIPTS}/{script}/statement", {"act": "launch"}, bearer=view)).status == 200
    assert await stage.db.value("select count(*) from tminus.events") == before
    for what, act in ((script, "run_now"), (script, "test"), (made.script, "resume"), (script, "retry")):
        reply = await api("POST", f"{SCRIPTS}/{what}/statement", {"act": act}, person="bob")
        reply.problem(409, "conflict")
    nobody = await api("POST", f"{SCRIPTS}/{uuid.uuid4()}/statement", {"act": "launch"}, person="bob")
    nobody.problem(404, "not_found")


async def test_a_signature_has_to_be_one_and_to_expire(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await strict(await scene(stage, tmp_path))
    (await do(api, made.script, "pause", {"note": "wait"})).json()
    body = signed(made.bob, await stated(api, made.script, "resume"))
    (await do(api, made.script, "resume", body | {"signature": "me"})).problem(422, "invalid", "ssh-keygen")
    (await do(api, made.script, "resume", body | {"expires": None})).problem(422, "invalid", "has to expire")
    own = await api("POST", f"{SCRIPTS}/{made.script}/resume", body, person="alice")
    own.problem(409, "stale_digest")  # she would sign another text
    own = await api("POST", f"{SCRIPTS}/{made.script}/resume", body | {"statement": None}, person="alice")
    own.problem(403, "not_allowed", "alice is the author")
    (await do(api, made.script, "resume", body | {"statement": None})).json()


# -- the board ----------------------------------------------------------------------------------------------------------


def statement_on(page: str) -> str:
    """The text between the lines of the command that is shown, as the file then has it."""
    shown = html.unescape(page).split("cat > statement <<'EOF'\n", 1)[1]
    return shown.split("EOF\n", 1)[0]


async def test_on_the_board_a_launch_is_resumed_by_a_signature(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    launch = (await launch_row(stage, made.script))["id"]
    await stage.db.value("select tminus.pause_launch($1, 'why', 'bob')", made.script, role="api")
    async with visitor(api) as bob:
        path = f"/board/launches/{launch}"
        assert 'name="signature"' not in await bob.see(path), "nobody asks for one"
        await strict(made)
        page = await bob.see(path)
        assert "asked for by strict" in page
        assert statement_on(page) == field_of(page, "statement"), "it is the same each time that the page is made"
        assert statement_on(await bob.see(f"{path}/parts")) == statement_on(page)
        script, form = (
            str(made.script),
            {"expires": field_of(page, "expires"), "statement": field_of(page, "statement")},
        )
        assert (await bob.act(script, "resume", page, back=str(launch))).status == 409
        signature = made.bob.sign(statement_on(page).removesuffix("\n"))
        stale = form | {"statement": form["statement"].replace("act: resume", "act: confirm")}
        assert (await bob.act(script, "resume", page, signature=signature, **stale)).status == 409
        browser = signature.replace("\n", "\r\n")
        form["statement"] = form["statement"].replace("\n", "\r\n")
        assert (await bob.act(script, "resume", page, signature=browser, back=str(launch), **form)).status == 303
        assert 'name="signature"' not in await bob.see(path)
    authority = made.authority()
    assert await made.why_not(authority, await made.content(), "s000") is None
    [kept] = await stage.db.fetch("select signature from tminus.authorizations where act = 'resume'")
    assert kept["signature"] == signature


async def test_on_the_board_a_wave_and_a_retry_are_signed(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await strict(await ended(stage, tmp_path))
    launch, script = (await launch_row(stage, made.script))["id"], str(made.script)
    async with visitor(api) as bob:
        page = await bob.see(f"/board/launches/{launch}")
        fields = {name: field_of(page, name) for name in ("expires", "statement", "new_launch_id", "launch_id")}
        assert fields["new_launch_id"] in statement_on(page)
        signature = made.bob.sign(statement_on(page).removesuffix("\n"))
        reply = await bob.act(script, "retry", page, signature=signature, **fields)
        assert reply.headers["Location"] == f"/board/launches/{fields['new_launch_id']}?done=retry"
        content = await made.content(fields["new_launch_id"])
        assert await made.why_not(made.authority(), content, "s001") is None
    await stage.db.run(EMPTY)
    made = await strict(await scene(stage, tmp_path / "waves", wave_sizes=["1"], wave_confirm=True))
    launch, script = (await launch_row(stage, made.script))["id"], str(made.script)
    await stage.run_through(made.instance, (await stage.claim(made.instance))["s000"].id)
    await stage.db.run(
        f"set session_replication_role = replica; update tminus.launches set asked_wave = 2 where id = '{launch}'"
    )
    async with visitor(api) as bob:
        page = await bob.see(f"/board/launches/{launch}")
        fields = {name: field_of(page, name) for name in ("expires", "statement", "wave")}
        signature = made.bob.sign(statement_on(page).removesuffix("\n"))
        assert (await bob.act(script, "confirm-wave", page, signature=signature, **fields)).status == 303
    assert await made.why_not(made.authority(), await made.content(), "s001") is None


async def test_who_may_not_act_is_shown_nothing_to_sign(api: Api, stage: Stage, tmp_path: Path) -> None:
    made = await strict(await scene(stage, tmp_path))
    launch = (await launch_row(stage, made.script))["id"]
    await stage.db.value("select tminus.pause_launch($1, 'why', 'bob')", made.script, role="api")
    async with visitor(api, "bob", "script:view") as looking:
        assert 'name="signature"' not in await looking.see(f"/board/launches/{launch}")

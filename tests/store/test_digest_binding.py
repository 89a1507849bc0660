"""An authorization is bound to its content: what is launched, and on which router, is what the approver saw."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.store.stage import HOST_KEY, Stage, add_sites, authorize, insert
from tminus.domain.digest import row_digest, site_digest
from tminus.store import launches
from tminus.store.instances import Reach
from tminus.store.launches import DueScript

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def due(stage: Stage) -> DueScript:
    async with launches.due_scripts(stage.store, limit=5) as transaction:
        [script] = transaction.due
    return script


def is_as_authorized(script: DueScript) -> bool:
    """The launcher's comparison."""
    return (
        row_digest(script.row) == script.authorization.row_digest
        and tuple(site for site, _ in script.authorization.sites) == script.sites
        and not script.authorization.contradicts_itself()
    )


async def test_what_is_due_compares_equal_to_what_was_authorized(stage: Stage) -> None:
    await add_sites(stage.db, "a", "b")
    await stage.db.submit(
        ':put "é\r\n"',
        ["b", "a"],
        test_site_id="a",
        abort_if_offline=True,
        max_concurrency=2,
        start_within=timedelta(minutes=7),
        wave_sizes=["1", "50%"],
        wave_order=["edge", "core"],
        wave_pause=timedelta(minutes=3),
        max_failures="5%",
        max_offline="1",
        guard_version=">=7.12 <8",
        guard_free_space=1000,
        guard_uptime=timedelta(minutes=1),
        guard_cpu_load=0,
    )
    await stage.db.move_clock(timedelta(seconds=1))
    script = await due(stage)
    assert is_as_authorized(script)
    assert script.authorization.digest == await stage.db.value("select tminus.digest($1)", script.id)


BEHIND = {
    "script": "script = ':put evil'",
    "line ends": "script = e':put hello\\r\\n'",
    "make_backup": "make_backup = false",
    "abort_if_offline": "abort_if_offline = true",
    "test_site_id": "test_site_id = 'b'",
    "launch_at": "launch_at = launch_at - interval '1 microsecond'",
    "start_within": "start_within = '2 hours'",
    "site_timeout": "site_timeout = '1 hour'",
    "max_concurrency": "max_concurrency = 7",
    "wave_sizes": "wave_sizes = '{1,2}'",
    "wave_order": "wave_order = '{edge}'",
    "wave_pause": "wave_pause = '1 minute'",
    "wave_confirm": "wave_confirm = true",
    "confirm_within": "confirm_within = '1 hour'",
    "max_failures": "max_failures = '9'",
    "max_failures_in_wave": "max_failures_in_wave = '9'",
    "max_offline": "max_offline = '9'",
    "guard_version": "guard_version = '>=8'",
    "guard_free_space": "guard_free_space = 9",
    "guard_uptime": "guard_uptime = '1 hour'",
    "guard_cpu_load": "guard_cpu_load = 9",
    "another site": "sites = '{b}'",
    "one site more": "sites = '{a,b}'",
    "no site": "sites = '{}'",
    "another's authorization": "authorization_id = (select min(id) from tminus.authorizations)",
}


@pytest.mark.parametrize("way", ["replica", "trigger"])
async def test_content_that_was_changed_behind_the_triggers_is_refused(own_stage: Stage, way: str) -> None:
    await add_sites(own_stage.db, "a", "b")
    await authorize(own_stage.db, await insert(own_stage.db, sites=["a"], script=":put other"))
    script = await own_stage.db.submit(":put hello", ["a"])
    await own_stage.db.move_clock(timedelta(seconds=1))
    around = {
        "replica": ("set session_replication_role = replica", "reset session_replication_role"),
        "trigger": (
            "alter table tminus.scheduled_scripts disable trigger user",
            "alter table tminus.scheduled_scripts enable trigger user",
        ),
    }[way]
    for change in BEHIND.values():
        original = dict(await own_stage.row(script))
        await own_stage.db.run(
            f"{around[0]}; update tminus.scheduled_scripts set {change} where id = '{script}'; {around[1]}"
        )
        assert dict(await own_stage.row(script)) != original, change
        assert not is_as_authorized(await due(own_stage)), change
        columns = [name for name in original if name != "id"]
        async with own_stage.db.anew() as connection:
            await connection.execute(around[0])
            marks = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
            await connection.fetch(
                f"update tminus.scheduled_scripts set {marks} where id = $1",
                script,
                *(original[name] for name in columns),
            )
            await connection.execute(around[1])
        assert is_as_authorized(await due(own_stage))


async def test_a_refused_launch_is_unauthorized_again_and_says_why(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await stage.db.submit(":put hello")
    await stage.db.move_clock(timedelta(seconds=1))
    await stage.db.run(
        "set session_replication_role = replica; update tminus.scheduled_scripts set script = e':put evil\\r\\n'"
    )
    async with launches.due_scripts(stage.store, limit=5) as transaction:
        await transaction.refuse(transaction.due[0].id, "the content is not what was authorized")
    row = await stage.row(script)
    assert (row["status"], row["authorization_id"], row["authorized_by"]) == ("unauthorized", None, None)
    assert row["status_reason"] == "the content is not what was authorized"
    assert len(await stage.events("launch_refused")) == 1
    assert await stage.db.value("select count(*) from tminus.launches") == 0
    await stage.db.move_clock(timedelta(hours=2))
    assert (await launches.housekeeping(stage.store)).late == 1


@pytest.mark.parametrize(
    "change",
    [
        "address = '192.0.2.66'",
        "port = 2222",
        "username = 'other'",
        "credential = 'other'",
        "ssh_profile = 'legacy'",
        "sensitive_export = true",
        "return_address = '192.0.2.66'",
        f"host_key = '{HOST_KEY}'",
    ],
)
async def test_a_site_that_changes_after_the_authorization_fails_alone(stage: Stage, change: str) -> None:
    """The row stays scheduled, the launch is made, and the run keeps the digest that was authorized."""
    await add_sites(stage.db, "a", "b")
    instance = await stage.instance(reach=Reach(credentials=("default", "other"), jump_hosts=("gate",)))
    script = await stage.db.submit(":put hello", ["a", "b"])
    authorized = dict(await stage.db.fetch("select unnest(site_ids), unnest(site_digests) from tminus.authorizations"))
    await stage.db.fetch(f"update tminus.sites set {change} where id = 'a'", role="api")
    assert (await stage.row(script))["status"] == "scheduled"
    await stage.db.move_clock(timedelta(seconds=1))
    assert is_as_authorized(await due(stage))
    assert len(await stage.launch_due(instance)) == 1
    assert {site: run["site_digest"] for site, run in (await stage.db.site_runs(script)).items()} == authorized
    claims = await stage.claim(instance)
    assert {site: claim.authorized_site for site, claim in claims.items()} == authorized
    assert site_digest(claims["a"].site.part) != authorized["a"]
    assert site_digest(claims["b"].site.part) == authorized["b"]


async def test_what_is_learned_of_a_site_and_how_it_is_called_are_no_part_of_it(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    before = await stage.db.value("select tminus.site_digest(s) from tminus.sites s")
    await stage.db.run(
        "update tminus.sites set name = 'n', tags = '{t}', enabled = false, runner = 'r', identity = 'i', serial = 's',"
        " version = 'v', model = 'm', seen_host_key = 'k', last_seen_at = now(), timezone = 'Europe/Berlin'"
    )
    assert await stage.db.value("select tminus.site_digest(s) from tminus.sites s") == before


async def test_the_launch_holds_the_digest_and_the_content_as_authorized(stage: Stage) -> None:
    instance = await stage.instance()
    script = await stage.launch(instance, "a", "b", description="d")
    [launch] = await stage.db.fetch("select * from tminus.launches")
    assert launch["digest"] == await stage.db.value("select tminus.digest($1)", script)
    assert (launch["script"], launch["sites"], launch["description"]) == (":put hello", ["a", "b"], "d")
    assert (launch["created_by"], launch["authorized_by"]) == ("alice", "bob")
    content = await launches.launch_content(stage.store, launch["id"])
    assert (content.script, content.script_id, content.make_backup) == (b":put hello", script, True)

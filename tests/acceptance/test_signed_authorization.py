"""Somebody who owns the database, superuser included, can stop launches but makes no router run what no approver has signed.

A real daemon with `require_signature`, real keys, and an attacker who writes into every table with the triggers switched off, who
replaces functions, and who recomputes every digest as the schema does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.acceptance.test_rehearsal import tminus
from tests.signing import Approver
from tests.support import Daemon, Db, run_daemon, until
from tminus.simulator import Fault, Fleet, FleetSpec, Kind, SiteSpec, simulate

GOOD = ':log info "signed"\n'
WITH_VARIABLE = ':log info "$(said)"\n'
EVIL = ':log info "evil"\n'
BEHIND = "set session_replication_role = replica; "

# The owner recomputes what the schema would, so that nothing but the signature gives it away.
RECOMPUTE = """
update tminus.authorizations a
set row_digest = tminus.row_digest(s), site_ids = s.sites, site_digests = tminus.site_digests(s.sites, s.script, s.variables),
    digest = tminus.digest(s.id)
from tminus.scheduled_scripts s where s.id = '{id}' and a.id = s.authorization_id;
"""
LAUNCH_NOW = """
insert into tminus.launches (id, script_id, kind, due_at, started_at, start_until, description, script, sites, make_backup,
    abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron,
    timezone, guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, digest, authorization_id, authorized_by, created_by)
select gen_random_uuid(), s.id, '{kind}', {due}, tminus.clock(), tminus.clock() + interval '1 hour', '', {script}, s.sites, s.make_backup,
    s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached, s.test_site_id,
    case when s.cron is null then {at} end, s.cron, s.timezone, s.guard_version, s.guard_free_space, s.guard_uptime,
    s.guard_cpu_load, s.variables, a.digest, a.id, a.approver, s.created_by
from tminus.scheduled_scripts s join tminus.authorizations a on a.script_id = s.id where s.id = '{id}';
insert into tminus.site_runs (launch_id, site_id, position, site_digest)
select l.id, site_id, position, (tminus.site_digests(array[site_id], l.script, l.variables))[1]
from tminus.launches l, unnest(l.sites) with ordinality as u (site_id, position), tminus.sites t
where l.script_id = '{id}' and t.id = u.site_id and not exists (select from tminus.site_runs r where r.launch_id = l.id);
update tminus.scheduled_scripts set status = 'launched', started_at = tminus.clock() where id = '{id}';
"""


def launch_now(
    script: object,
    *,
    kind: str = "scheduled",
    due: str = "s.launch_at",
    at: str = "s.launch_at",
    text: str = "s.script",
) -> str:
    return BEHIND + LAUNCH_NOW.format(id=script, kind=kind, due=due, at=at, script=text)


@dataclass(kw_only=True)
class Scene:
    """A daemon that asks for signatures, a simulated fleet, and who may sign."""

    db: Db
    fleet: Fleet
    folder: Path
    bob: Approver
    carol: Approver
    mallory: Approver
    daemon: Daemon | None = None
    scripts: dict[str, Any] = field(default_factory=dict)

    def allow(self, *lines: str) -> None:
        (self.folder / "allowed_signers").write_text("".join(lines))

    @asynccontextmanager
    async def running(self, **settings: object) -> AsyncIterator[Daemon]:
        environment = {
            "TMINUS_AUTHORIZATION__REQUIRE_SIGNATURE": "true",
            "TMINUS_AUTHORIZATION__ALLOWED_SIGNERS": str(self.folder / "allowed_signers"),
            "TMINUS_AUTHORIZATION__REVOKED_KEYS": str(self.folder / "revoked_keys"),
        }
        async with run_daemon(
            self.db, self.folder / "serve", self.fleet, environment=environment, **settings
        ) as daemon:
            yield daemon

    async def submit(
        self, site: str, script: str = GOOD, *, due_in: float = 10.0, author: str = "alice", **columns: object
    ) -> Any:
        columns = {"script": script, "sites": [site], **columns}
        if "cron" not in columns:
            columns["launch_at"] = datetime.now(UTC) + timedelta(seconds=due_in)
        marks = ", ".join(f"${n}" for n in range(1, len(columns) + 1))
        self.scripts[site] = await self.db.value(
            f"insert into tminus.scheduled_scripts ({', '.join(columns)}) values ({marks}) returning id",
            *columns.values(),
            role=author,
        )
        return self.scripts[site]

    def ran(self, site: str) -> int:
        return len(self.fleet.journal.starts(site))

    async def settled(self, script: object) -> dict[str, Any]:
        """Wait until nothing of a script is open any more: it was refused, or all its runs have ended."""

        async def look() -> bool:
            return await self.db.value(
                "select s.status in ('unauthorized', 'cancelled') or s.finished_at is not null"
                " or exists (select from tminus.launches l where l.script_id = s.id and l.kind <> 'rehearsal')"
                "   and not exists (select from tminus.launches l join tminus.site_runs r on r.launch_id = l.id"
                "     where l.script_id = s.id and r.finished_at is null)"
                " from tminus.scheduled_scripts s where s.id = $1",
                script,
            )

        await until(look, within=60)
        return await self.db.script(script)

    async def runs(self, script: object) -> list[tuple[str, str | None, str | None]]:
        rows = await self.db.fetch(
            "select r.state, r.reason, r.message from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
            " where l.script_id = $1 order by r.id",
            script,
        )
        return [tuple(row) for row in rows]


@asynccontextmanager
async def open_scene(
    db: Db, folder: Path, *sites: str, base: str = "127.45.7.1", faults: frozenset[Fault] = frozenset()
) -> AsyncIterator[Scene]:
    keys = folder / "keys"
    bob, carol, mallory = (Approver.make(keys, name) for name in ("bob", "carol", "mallory"))
    async with simulate(
        FleetSpec(site_specs=tuple(SiteSpec(id=site, version="7.20.8", faults=faults) for site in sites), base=base)
    ) as fleet:
        await db.run(fleet.inventory_sql(None))
        await db.run("alter table tminus.launches drop constraint if exists launches_check")  # the owner may
        scene = Scene(db=db, fleet=fleet, folder=folder, bob=bob, carol=carol, mallory=mallory)
        scene.allow(bob.signs_for(), carol.signs_for())
        (folder / "revoked_keys").write_text(mallory.public + "\n")
        yield scene


Attack = Callable[[Scene, str], Awaitable[Any]]


async def signed(scene: Scene, site: str, *, due_in: float = 10.0, **columns: object) -> Any:
    script = await scene.submit(site, due_in=due_in, **columns)  # type: ignore[arg-type]
    await scene.db.authorized(script, lambda: scene.bob.authorize(scene.db, script), due_in=due_in)
    return script


async def without_a_signature(scene: Scene, site: str) -> Any:
    script = await signed(scene, site)
    await scene.db.run(BEHIND + f"update tminus.authorizations set signature = null where script_id = '{script}'")
    return script


async def with_another_script(scene: Scene, site: str) -> Any:
    script = await signed(scene, site)
    await scene.db.run(
        BEHIND
        + f"update tminus.scheduled_scripts set script = '{EVIL}' where id = '{script}'; "
        + RECOMPUTE.format(id=script)
    )
    return script


async def with_other_options(scene: Scene, site: str) -> Any:
    script = await signed(scene, site)
    await scene.db.run(
        BEHIND
        + f"update tminus.scheduled_scripts set make_backup = false where id = '{script}'; "
        + RECOMPUTE.format(id=script)
    )
    return script


async def with_a_guard_taken_off(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, guard_version=">=99")
    await scene.db.run(
        BEHIND
        + f"update tminus.scheduled_scripts set guard_version = null where id = '{script}'; "
        + RECOMPUTE.format(id=script)
    )
    return script


async def with_another_value_of_a_variable(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, script=WITH_VARIABLE, variables='{"said": "signed"}')
    await scene.db.run(
        BEHIND
        + f"update tminus.scheduled_scripts set variables = '{{\"said\": \"evil\"}}' where id = '{script}'; "
        + RECOMPUTE.format(id=script)
    )
    return script


async def with_another_value_of_a_variable_after_the_launch_was_made(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, script=WITH_VARIABLE, variables='{"said": "signed"}')
    await scene.db.run(
        f"""
        create function public.say() returns trigger language plpgsql security definer set session_replication_role = replica as $$ begin
            update tminus.sites t set variables = '{{"said": "evil"}}' where t.id = '{site}';
            new.site_digest := (tminus.site_digests(array['{site}'], '{WITH_VARIABLE.strip()}', '{{}}'))[1];
            return new;
        end $$;
        grant execute on function public.say() to public;
        create trigger say before insert on tminus.site_runs for each row when (new.site_id = '{site}') execute function public.say();
        """
    )
    return script


async def at_another_time(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, due_in=3600)
    await scene.db.run(
        BEHIND
        + f"update tminus.scheduled_scripts set launch_at = tminus.clock() where id = '{script}'; "
        + RECOMPUTE.format(id=script)
    )
    return script


async def with_the_clock_moved(scene: Scene, site: str) -> Any:
    """The database's clock says that its time has come; the launch is made by hand."""
    script = await signed(scene, site, due_in=3600)
    await scene.db.run(launch_now(script))
    return script


async def with_a_time_that_the_launch_row_invents(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, due_in=3600)
    await scene.db.run(launch_now(script, due="tminus.clock()"))
    return script


async def as_a_retry_that_nobody_signed(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, due_in=3600)
    await scene.db.run(launch_now(script, kind="retry", due="tminus.clock()"))
    return script


async def as_a_launch_made_by_hand(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, due_in=20)
    await scene.db.run(launch_now(script, text=f"'{EVIL}'"))
    return script


async def on_another_router(scene: Scene, site: str) -> Any:
    script = await signed(scene, site)
    await scene.db.run(
        BEHIND + f"update tminus.sites t set address = o.address, port = o.port, host_key = o.host_key from tminus.sites o"
        f" where t.id = '{site}' and o.id = 'victim'; " + RECOMPUTE.format(id=script)
    )  # fmt: skip
    return script


async def on_another_router_after_the_launch_was_made(scene: Scene, site: str) -> Any:
    """The signed digests stay: only how the site is reached changes, and its run says that it was authorized so."""
    script = await signed(scene, site, due_in=10)
    await scene.db.run(
        f"""
        create function public.swap() returns trigger language plpgsql security definer set session_replication_role = replica as $$ begin
            update tminus.sites t set address = o.address, port = o.port, host_key = o.host_key from tminus.sites o
            where t.id = '{site}' and o.id = 'victim';
            new.site_digest := (select tminus.site_digest(t) from tminus.sites t where t.id = '{site}');
            return new;
        end $$;
        grant execute on function public.swap() to public;
        create trigger swap before insert on tminus.site_runs for each row when (new.site_id = '{site}') execute function public.swap();
        """
    )
    return script


async def with_another_site_added_to_the_launch(scene: Scene, site: str) -> Any:
    script = await signed(scene, site, due_in=20)
    await scene.db.run(
        launch_now(script) + f"insert into tminus.site_runs (launch_id, site_id, position, site_digest)"
        f" select l.id, t.id, 9, tminus.site_digest(t)"
        f" from tminus.launches l, tminus.sites t where l.script_id = '{script}' and t.id = 'victim'"
    )  # fmt: skip
    return script


async def on_a_site_without_a_pinned_key(scene: Scene, site: str) -> Any:
    await scene.db.run(f"update tminus.sites set host_key = null where id = '{site}'")
    return await signed(scene, site)


async def signed_by_somebody_who_is_not_allowed(scene: Scene, site: str) -> Any:
    script = await scene.submit(site)
    await Approver(name="bob", key=scene.mallory.key).authorize(scene.db, script)
    return script


async def signed_by_another_approver_than_it_says(scene: Scene, site: str) -> Any:
    script = await scene.submit(site)
    await Approver(name="bob", key=scene.carol.key).authorize(scene.db, script)
    return script


async def signed_for_another_purpose(scene: Scene, site: str) -> Any:
    script = await scene.submit(site)
    await scene.bob.authorize(scene.db, script, namespace="git")
    return script


async def signed_by_its_author(scene: Scene, site: str) -> Any:
    """The owner switches the policy off for a moment."""
    script = await scene.submit(site, author="api", created_by="bob")
    await scene.db.run("update tminus.policy set approval = 'off'")
    await scene.bob.authorize(scene.db, script)
    await scene.db.run("update tminus.policy set approval = 'distinct'")
    return script


async def with_an_author_changed_after_the_signature(scene: Scene, site: str) -> Any:
    script = await scene.submit(site, author="api", created_by="bob")
    await scene.db.run("update tminus.policy set approval = 'off'")
    await scene.bob.authorize(scene.db, script)
    await scene.db.run("update tminus.policy set approval = 'distinct'")
    await scene.db.run(
        BEHIND + f"update tminus.scheduled_scripts set created_by = 'alice', updated_by = 'alice' where id = '{script}';"
        f" update tminus.authorizations set author = 'alice', editor = 'alice' where script_id = '{script}'"
    )  # fmt: skip
    return script


async def after_the_signature_expired(scene: Scene, site: str) -> Any:
    script = await scene.submit(site, due_in=10)
    text = await scene.db.value(
        "select tminus.statement($1, 'bob', $2)", script, datetime.now(UTC) + timedelta(seconds=1)
    )
    expires = datetime.fromisoformat(text.rsplit("expires: ", 1)[1])
    await scene.bob.authorize(scene.db, script)
    async with scene.db.connect() as connection:
        await connection.execute(BEHIND)
        await connection.fetch(
            "update tminus.authorizations set expires_at = $2, signature = $3 where script_id = $1",
            script,
            expires,
            scene.bob.sign(text),
        )
    return script


async def with_the_expiry_taken_off(scene: Scene, site: str) -> Any:
    script = await scene.submit(site, due_in=10)
    await scene.bob.authorize(scene.db, script, expires=datetime.now(UTC) + timedelta(seconds=600))
    await scene.db.run(BEHIND + f"update tminus.authorizations set expires_at = null where script_id = '{script}'")
    return script


async def with_a_signature_of_another_script(scene: Scene, site: str) -> Any:
    script = await scene.submit(site, EVIL)
    other = await scene.submit(site)
    await scene.bob.authorize(scene.db, other)
    await scene.bob.authorize(scene.db, script)
    await scene.db.run(
        BEHIND + "update tminus.authorizations a set signature = o.signature, author = o.author, editor = o.editor"
        " from tminus.authorizations o"
        f" where a.script_id = '{script}' and o.script_id = '{other}';"
        f" update tminus.scheduled_scripts set status = 'cancelled', cancelled_at = tminus.clock() where id = '{other}'"
    )  # fmt: skip
    return script


ATTACKS: tuple[Attack, ...] = (
    without_a_signature,
    with_another_script,
    with_other_options,
    with_a_guard_taken_off,
    with_another_value_of_a_variable,
    with_another_value_of_a_variable_after_the_launch_was_made,
    at_another_time,
    with_the_clock_moved,
    with_a_time_that_the_launch_row_invents,
    as_a_retry_that_nobody_signed,
    as_a_launch_made_by_hand,
    on_another_router,
    on_another_router_after_the_launch_was_made,
    with_another_site_added_to_the_launch,
    on_a_site_without_a_pinned_key,
    signed_by_somebody_who_is_not_allowed,
    signed_by_another_approver_than_it_says,
    signed_for_another_purpose,
    signed_by_its_author,
    with_an_author_changed_after_the_signature,
    after_the_signature_expired,
    with_the_expiry_taken_off,
    with_a_signature_of_another_script,
)
# The run that was signed takes place in these; what was added does not.
RUNS_ONCE = {with_another_site_added_to_the_launch}


async def test_database_owner_as_attacker_makes_no_router_run_what_nobody_signed(database: Db, tmp_path: Path) -> None:
    names = [attack.__name__ for attack in ATTACKS]
    async with open_scene(database, tmp_path, "honest", "victim", *names) as scene, scene.running() as daemon:
        honest = await signed(
            scene,
            "honest",
            script=WITH_VARIABLE,
            variables='{"said": "signed"}',
            guard_version=">=6",
            guard_cpu_load=100,
        )
        await database.run("drop index tminus.sites_one_router_each")
        attacked = {attack: await attack(scene, attack.__name__) for attack in ATTACKS}
        for attack, script in attacked.items():
            shown = await scene.settled(script)
            seen = (attack.__name__, shown["status"], shown["status_reason"], await scene.runs(script))
            assert scene.ran(attack.__name__) == (attack in RUNS_ONCE), seen
        assert [run[0] for run in await scene.runs(honest)] == ["completed"]
        assert scene.ran("honest") == 1
        assert scene.ran("victim") == 0
        assert (await daemon.get("/readyz"))[0] == 200
        assert not [event for event in scene.fleet.journal.events() if "evil" in str(event)]
        log = [
            event
            for event in daemon.log()
            if event["event"] in ("launch_refused", "launch_not_signed", "authorization_refused")
        ]
        assert len(log) >= len(ATTACKS) - 6
        await daemon.stop()


FORGETFUL = """
create or replace function tminus.knows_start(p_site text, p_nonce text) returns boolean language sql stable as 'select true';
create or replace function tminus.is_paused() returns boolean language sql stable as 'select false';
create or replace function tminus.is_held_back() returns boolean language sql stable as 'select false';
"""
UNDO = (
    BEHIND
    # The starts are there for whoever looks for one, and belong to nothing: a host that misses one would hold itself back.
    + "delete from tminus.busy_sites; delete from tminus.backups; delete from tminus.cleanup_debts;"
    " update tminus.site_runs set launch_id = gen_random_uuid();"
    " delete from tminus.launches; delete from tminus.lost_starts;"
    " update tminus.scheduled_scripts set status = 'scheduled', started_at = null, finished_at = null;"
)


async def test_a_run_that_the_owner_makes_open_again_has_no_check_evaluated_that_nobody_signed(
    database: Db, tmp_path: Path
) -> None:
    """It did run, and the router's log proves it; so whoever resolves it would go on with its post-checks."""
    evil = "[:len [/system identity set name=EVIL]] = 0"
    async with open_scene(database, tmp_path, "r1") as scene, scene.running():
        script = await signed(scene, "r1", due_in=1.0)
        assert (await database.finished(script))["r1"]["state"] == "completed"
        await database.run(
            f"""
            {BEHIND}
            update tminus.launches set state = 'running', finished_at = null, post_checks = array['{evil}'] where script_id = '{script}';
            update tminus.site_runs r set state = 'running', effect = null, finished_at = null, instance_id = null, step = 'verifying'
            from tminus.launches l where l.id = r.launch_id and l.script_id = '{script}';
            """
        )

        async def resolved() -> bool:
            return (await database.site_runs(script))["r1"]["finished_at"] is not None

        await until(resolved)
        run = (await database.site_runs(script))["r1"]
        assert (run["state"], run["reason"]) == ("failed", "check_failed")
        assert "could not verify that they were signed" in run["message"]
        assert not [event for event in scene.fleet.journal.events("r1", Kind.EXEC) if "EVIL" in str(event)]


async def test_a_signature_that_is_spent_is_spent_whatever_becomes_of_the_launch(database: Db, tmp_path: Path) -> None:
    """The owner deletes the launch, or restores what was before it, and has the database say that all is well."""
    async with open_scene(database, tmp_path, "r1", "r2") as scene:

        async def ends_again(*attacks: str) -> None:
            await database.run(UNDO + "; ".join(attacks))
            await until(
                lambda: database.value(
                    "select exists (select from tminus.site_runs r join tminus.launches l on l.id = r.launch_id"
                    " where r.finished_at is not null)"
                ),
                within=60,
            )
            assert scene.ran("r1") == 1

        async with scene.running() as daemon:
            script = await signed(scene, "r1", due_in=2)
            await scene.settled(script)
            assert scene.ran("r1") == 1
            await ends_again()
            await daemon.stop()
        await database.run(FORGETFUL)
        async with scene.running() as daemon:
            await ends_again()
            # As something else than what was signed: a retry, an occurrence of another digest, of a cron rule, of another script.
            await ends_again(launch_now(script, kind="retry"))
            await ends_again(launch_now(script), "update tminus.launches set digest = 'tminus1:other'")
            await ends_again(launch_now(script), "update tminus.launches set cron = '* * * * *'")
            await ends_again(launch_now(script), "update tminus.launches set due_at = due_at + interval '1 second'")
            await ends_again(launch_now(script), "update tminus.launches set script_id = gen_random_uuid()")
            # What was not started yet is.
            await scene.settled(await signed(scene, "r2", due_in=1))
            assert scene.ran("r2") == 1
            await daemon.stop()
        assert scene.ran("r1") == 1


async def test_where_signatures_cannot_be_verified_nothing_is_started_until_they_can(
    database: Db, tmp_path: Path
) -> None:
    allowed = tmp_path / "allowed_signers"
    async with open_scene(database, tmp_path, "r1") as scene, scene.running() as daemon:
        content = allowed.read_text()
        allowed.unlink()
        script = await signed(scene, "r1", due_in=0.5)

        async def says_so() -> bool:
            code, text = await daemon.get("/readyz")
            return code == 503 and "allowed_signers cannot be read" in text

        await until(says_so)
        await until(
            lambda: database.value(
                "select launch_at < tminus.clock() - interval '2 seconds' from tminus.scheduled_scripts"
            )
        )
        assert (await database.script(script))["status"] == "scheduled"
        assert scene.ran("r1") == 0
        allowed.write_text(content)
        await scene.settled(script)
        assert scene.ran("r1") == 1
        await daemon.stop()


async def test_a_key_that_is_revoked_while_a_launch_is_under_way_starts_nothing_more(
    database: Db, tmp_path: Path
) -> None:
    async with open_scene(database, tmp_path, "r1", "r2") as scene, scene.running() as daemon:
        script = await signed(scene, "r1", due_in=1, script=":delay 3s\n", sites=["r1", "r2"], max_concurrency=1)
        await scene.fleet.journal.wait("r1", Kind.IMPORT_STARTED)
        (tmp_path / "revoked_keys").write_text(f"{scene.mallory.public}\n{scene.bob.public}\n")
        await scene.settled(script)
        assert [run[:2] for run in await scene.runs(script)] == [("completed", None), ("failed", "guard_failed")]
        assert (scene.ran("r1"), scene.ran("r2")) == (1, 0)
        await daemon.stop()


async def test_each_occurrence_of_a_signed_cron_rule_runs_once_until_its_end(database: Db, tmp_path: Path) -> None:
    async with open_scene(database, tmp_path, "r1") as scene, scene.running() as daemon:
        script = await scene.submit("r1", cron="* * * * *")
        await scene.bob.authorize(database, script, expires=datetime.now(UTC) + timedelta(hours=1))
        await until(lambda: database.value("select launch_at is not null from tminus.scheduled_scripts"))
        # An occurrence that is not one, and one that was: the owner moves the plan.
        await database.run(
            BEHIND + "update tminus.scheduled_scripts set launch_at = tminus.clock() - interval '1 second'"
        )
        shown = await scene.settled(script)
        assert (shown["status"], scene.ran("r1")) == ("unauthorized", 0)
        assert "none of the cron rule" in shown["status_reason"]
        await scene.bob.authorize(database, script, expires=datetime.now(UTC) + timedelta(hours=1))
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        for _ in range(2):
            async with database.connect() as owner:
                await owner.execute(BEHIND)
                await owner.fetch("update tminus.scheduled_scripts set launch_at = $1", now)
            await until(lambda: database.value("select launch_at > $1 from tminus.scheduled_scripts", now))
            await until(
                lambda: database.value("select not exists (select from tminus.site_runs where finished_at is null)")
            )
            await database.run(UNDO)
        assert scene.ran("r1") == 1
        await daemon.stop()


async def test_a_signature_that_does_not_count_is_told_at_once_and_not_at_its_time(
    database: Db, tmp_path: Path
) -> None:
    async with open_scene(database, tmp_path, "r1") as scene, scene.running() as daemon:
        for cron in (None, "0 3 * * *"):
            script = await scene.submit("r1", **({"cron": cron} if cron else {"due_in": 86400}))
            await Approver(name="bob", key=scene.mallory.key).authorize(database, script)
            shown = await scene.settled(script)
            assert shown["status"] == "unauthorized"
            assert "not one of bob that counts here" in shown["status_reason"]
            await scene.bob.authorize(database, script)
            later = await scene.submit("r1", due_in=86400)
            await Approver(name="bob", key=scene.mallory.key).authorize(database, later)
            await scene.settled(later)  # looked at after it
            assert (await database.script(script))["status"] == "scheduled"
        await daemon.stop()


async def test_no_rehearsal_puts_its_file_in_the_place_of_one_that_is_started(database: Db, tmp_path: Path) -> None:
    """Nobody signs a rehearsal, so its file must not bear the name of one that is imported: the owner chooses the names."""
    async with open_scene(database, tmp_path, "r1", "r2") as scene, scene.running() as daemon:
        await database.run(
            """
            create function public.name() returns trigger language plpgsql security definer as $$ begin
                new.nonce := case when new.rehearsal then '1' else '0' end || '23456789abcdef0';
                return new;
            end $$;
            grant execute on function public.name() to public;
            create trigger name before update on tminus.site_runs for each row
                when (old.nonce is distinct from new.nonce) execute function public.name();
            """
        )
        script = await signed(scene, "r1", due_in=1)
        unsigned = await scene.submit("r2", EVIL, due_in=86400)
        await database.value("select tminus.rehearse($1)", unsigned, role="alice")
        await scene.settled(script)
        await until(lambda: database.value("select count(*) = 2 from tminus.site_runs where finished_at is not null"))
        for each in (script, unsigned):
            [(state, reason, message)] = await scene.runs(each)
            assert (state, reason) == ("failed", "guard_failed")
            assert "could be taken for another" in (message or "")
        assert not scene.fleet.journal.events("r1", Kind.UPLOAD)
        assert not scene.fleet.journal.events("r2", Kind.UPLOAD)
        await daemon.stop()


async def test_each_further_act_on_a_launch_needs_a_signature_of_its_own(database: Db, tmp_path: Path) -> None:
    """The owner lets a paused launch go on, and nothing more is started; what an approver signs for is, once."""
    async with open_scene(database, tmp_path, "r1", "r2") as scene, scene.running() as daemon:
        script = await signed(scene, "r1", due_in=2, script=":delay 3s\n", sites=["r1", "r2"], max_concurrency=1)
        await scene.fleet.journal.wait("r1", Kind.IMPORT_STARTED)
        await database.value("select tminus.pause_launch($1, 'wait')", script, role="alice")

        async def kept() -> bool:
            return (tmp_path / "serve/state/acts.jsonl").exists()

        await until(kept)
        await database.run(
            BEHIND + "update tminus.launches set paused_at = null, paused_by = null, pause_note = null;"
            " update tminus.site_runs set not_before = null"
        )
        await scene.settled(script)
        assert [run[:2] for run in await scene.runs(script)] == [("completed", None), ("failed", "guard_failed")]
        assert "nobody signed for it to go on" in ((await scene.runs(script))[1][2] or "")
        assert (scene.ran("r1"), scene.ran("r2")) == (1, 0)
        assert "act_not_signed" in {event["event"] for event in daemon.log()}

        code, _, said = await tminus(database, "retry", str(script), login="bob")
        assert (code, "retries only what its approver has signed" in said) == (1, True), said
        again = ("retry", str(script), "--sign", str(scene.bob.key), "--yes")
        code, out, said = await tminus(database, *again, login="bob")
        assert code == 0, said
        assert "act: retry\n" in said
        assert ":delay 3s" in out
        await scene.settled(script)
        assert (scene.ran("r1"), scene.ran("r2")) == (1, 1)
        # The same signature again: the owner makes the retry one that was never run.
        await database.run(
            BEHIND + "delete from tminus.busy_sites; delete from tminus.cleanup_debts; delete from tminus.backups;"
            " update tminus.launches set state = 'running', finished_at = null, due_at = tminus.clock(),"
            " start_until = tminus.clock() + interval '1 hour' where kind = 'retry';"
            " update tminus.site_runs r set state = 'pending', step = null, reason = null, effect = null, message = null,"
            " finished_at = null, executing_at = null, instance_id = null, nonce = null"
            " from tminus.launches l where l.id = r.launch_id and l.kind = 'retry'"
        )  # fmt: skip

        async def refused() -> bool:
            return "start_refused" in {event["event"] for event in daemon.log()}

        await until(refused)
        await until(
            lambda: database.value("select not exists (select from tminus.site_runs where finished_at is null)")
        )
        assert (scene.ran("r1"), scene.ran("r2")) == (1, 1)
        await daemon.stop()


async def test_after_a_restore_nothing_goes_on_without_a_signature(database: Db, tmp_path: Path) -> None:
    """The owner sets the database back and accepts in bob's name what is lost; the daemon says why it starts nothing."""
    async with open_scene(database, tmp_path, "r1", "r2") as scene:
        async with scene.running() as daemon:
            await scene.settled(await signed(scene, "r1", due_in=2))
            assert scene.ran("r1") == 1
            await daemon.stop()
        await database.run(
            BEHIND + "delete from tminus.backups; delete from tminus.site_runs; delete from tminus.launches"
        )
        async with scene.running() as daemon:
            waiting = await signed(scene, "r2", due_in=1, start_within=timedelta(hours=1))
            await database.run(
                BEHIND + "update tminus.lost_starts set accepted_at = now(), accepted_by = 'bob', note = 'It is well.'"
            )
            await database.run("update tminus.scheduled_scripts set status_reason = null")  # it is looked at by all

            async def says_why() -> bool:
                return "until an approver has signed" in (await daemon.get("/readyz"))[1]

            await until(says_why)
            code, _, said = await tminus(database, "resume", "--note", "x", login="bob")
            assert (code, "goes on with only what its approver has signed" in said) == (1, True), said
            _, shown, _ = await tminus(database, "status", login="bob")
            assert "waits for an approver's signature" in " ".join(shown.split())
            assert (await database.script(waiting))["status"] == "scheduled"
            signing = ("resume", "--note", "Put noon back.", "--sign", str(scene.bob.key), "--yes")
            code, out, said = await tminus(database, *signing, login="bob")
            assert code == 0, said
            assert "act: resume_all\nholds: 1\nstarts: 1\n" in said.replace("  ", "")
            assert "resumed; 1 lost start accepted" in out
            await scene.settled(waiting)
            assert (scene.ran("r1"), scene.ran("r2")) == (1, 1)
            assert "resumption_verified" in {event["event"] for event in daemon.log()}
            assert (await daemon.get("/readyz"))[0] == 200
            await daemon.stop()

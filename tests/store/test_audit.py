"""The audit trail: acts of people are chained, and every edit, deletion and reordering of them is found."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from unittest.mock import Mock
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.acceptance.test_cli import Answer, call
from tests.store.stage import Stage, add_sites, authorize, insert
from tests.support import until
from tminus.services.heartbeat import Trust, _clock
from tminus.services.observer import Observer
from tminus.services.sealer import Sealer
from tminus.store import audit

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEHIND = "set session_replication_role = replica; "
# What somebody who owns the database, and knows how the chain is made, does to it after a change.
REWRITE = """
do $$
declare
    s record;
    before text := '';
begin
    for s in select a.seq, a.sealed_at, e as event from tminus.audit_seals a join tminus.events e on e.id = a.event_id order by a.seq loop
        update tminus.audit_seals u
        set event_hash = tminus.event_hash(s.event),
            hash = tminus.sha256_hex(tminus.netstring(before) || tminus.netstring(s.seq::text) || tminus.netstring(u.event_id::text)
                || tminus.netstring(tminus.event_hash(s.event)) || tminus.netstring(tminus.api_time(s.sealed_at)))
        where u.seq = s.seq
        returning u.hash into before;
    end loop;
end $$;
"""


async def acts(stage: Stage) -> object:
    """Some acts of people, sealed in two batches; returns the script."""
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    await stage.db.fetch(
        "update tminus.scheduled_scripts set description = 'é \"quoted\"\n' where id = $1", script, role="alice"
    )
    await audit.seal_events(stage.store, limit=100)
    await authorize(stage.db, script)
    await stage.db.value("select tminus.withdraw($1, 'why')", script, role="bob")
    await audit.seal_events(stage.store, limit=100)
    return script


async def verify(stage: Stage, *options: str, state_dir: Path | None = None) -> Answer:
    config = ["--config", str(state_dir / "tminus.toml")] if state_dir is not None else []
    if state_dir is not None:
        (state_dir / "tminus.toml").write_text(f'state_dir = "{state_dir}"\n')
    return await asyncio.to_thread(call, stage.db.dsn_as("rita"), (*config, "audit", "verify", *options), b"")


async def broken(stage: Stage, *words: str, options: tuple[str, ...] = (), state_dir: Path | None = None) -> None:
    (await verify(stage, *options, state_dir=state_dir)).refused("the audit trail is broken", *words, code=1)


async def test_what_sql_seals_is_what_python_computes(stage: Stage) -> None:
    await acts(stage)
    answer = (await verify(stage, "--json")).json()
    sealed = await stage.db.fetch("select * from tminus.audit_seals order by seq")
    assert (answer["seal"], answer["hash"]) == (len(sealed), sealed[-1]["hash"])
    assert (answer["waiting"], answer["forgotten"]) == (0, 0)


async def test_acts_of_people_are_sealed_and_the_progress_of_sites_is_not(stage: Stage) -> None:
    instance = await stage.instance()
    await stage.launch(instance, "a")
    await stage.leave_unknown(instance, (await stage.claim(instance))["a"].id)
    await audit.seal_events(stage.store, limit=100)
    kinds = {
        row["kind"]
        for row in await stage.db.fetch(
            "select e.kind from tminus.events e join tminus.audit_seals s on s.event_id = e.id"
        )
    }
    assert {"submitted", "authorized", "launched", "site_added"} <= kinds
    assert "site_unknown" not in kinds
    assert await stage.events("site_unknown")


async def test_an_act_says_who_what_and_from_where(stage: Stage) -> None:
    script = await acts(stage)
    [authorized] = await stage.events("authorized")
    assert (authorized["principal"], authorized["session"], authorized["script_id"]) == ("bob", "bob", script)
    assert authorized["source"] is None  # a socket
    assert "superuser" not in json.loads(authorized["detail"])


async def test_a_superuser_leaves_a_trace(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    await stage.db.value("select tminus.authorize($1, tminus.digest($1), 'bob')", script)
    [authorized] = await stage.events("authorized")
    assert authorized["principal"] == "bob"
    assert authorized["session"] != "bob"
    assert json.loads(authorized["detail"])["superuser"] is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("update tminus.events set principal = 'carol' where kind = 'authorized'", ("(authorized by carol) is not as it was sealed",)),
        ("update tminus.events set detail = '{}' where kind = 'authorized'", ("not as it was sealed",)),
        ("update tminus.events set at = at - interval '1 hour' where kind = 'edited'", ("not as it was sealed",)),
        ("update tminus.events set source = '192.0.2.1' where kind = 'edited'", ("not as it was sealed",)),
        ("delete from tminus.events where kind = 'authorized'", ("is gone",)),
        ("delete from tminus.audit_seals where seq = 3", ("seal 3 missing before seal 4",)),
        ("delete from tminus.audit_seals where seq in (2, 3)", ("seals 2 to 3 missing",)),
        ("delete from tminus.audit_seals where seq = 1", ("seal 1 missing",)),
        (("update tminus.audit_seals set seq = seq + 1000 where seq in (2, 3);"
         " update tminus.audit_seals set seq = case seq when 1002 then 3 else 2 end where seq > 1000"), ("does not follow",)),
        ("update tminus.audit_seals set sealed_at = sealed_at - interval '9 years' where seq = 2", ("seal 2", "does not follow")),
        ("update tminus.audit_seals set hash = repeat('0', 64) where seq = 2", ("seal 2", "does not follow")),
        ("insert into tminus.events (kind, principal) values ('authorized', 'bob')", ("1 event went past the chain",)),
    ],
)  # fmt: skip
async def test_every_change_is_found(stage: Stage, change: str, words: tuple[str, ...]) -> None:
    await acts(stage)
    assert (await verify(stage)).code == 0
    await stage.db.run(BEHIND + change)
    await broken(stage, *words)


async def test_an_act_that_vanishes_before_its_seal_is_found(stage: Stage) -> None:
    await acts(stage)
    script = await insert(stage.db)
    await stage.db.run(BEHIND + f"delete from tminus.events where script_id = '{script}'")
    await broken(stage, "waited for a seal", "gone")


async def test_a_chain_that_was_written_anew_is_found_by_who_remembers_it(stage: Stage, tmp_path: Path) -> None:
    await acts(stage)
    _, head = await audit.seal_events(stage.store, limit=1)
    assert head is not None
    await audit.TrailMemory(tmp_path).keep(head)
    assert (await verify(stage, state_dir=tmp_path)).code == 0
    await stage.db.run(BEHIND + "update tminus.events set principal = 'carol' where kind = 'authorized';" + REWRITE)
    assert (await verify(stage)).code == 0  # nobody remembers it here
    await broken(stage, "not the one that is remembered", state_dir=tmp_path)
    await broken(stage, "not the one that is remembered", options=("--head", f"{head.seq}:{head.hash}"))
    (await verify(stage, "--head", "nonsense")).refused("SEAL:HASH", code=2)


async def test_an_end_that_was_cut_off_is_found_by_who_remembers_it(stage: Stage, tmp_path: Path) -> None:
    await acts(stage)
    _, head = await audit.seal_events(stage.store, limit=1)
    assert head is not None
    await audit.TrailMemory(tmp_path).keep(head)
    last = "(select max(seq) from tminus.audit_seals)"
    await stage.db.run(
        BEHIND + f"delete from tminus.events where id = (select event_id from tminus.audit_seals where seq = {last});"
        f" delete from tminus.audit_seals where seq = {last}"
    )  # fmt: skip
    assert (await verify(stage)).code == 0
    await broken(stage, f"seal {head.seq} is remembered", state_dir=tmp_path)


async def test_an_export_has_all_that_is_hashed(stage: Stage) -> None:
    await acts(stage)
    answer = await asyncio.to_thread(call, stage.db.dsn_as("rita"), ("audit", "export"), b"")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert [line["seal"] for line in lines] == list(range(1, len(lines) + 1))
    assert {"submitted", "edited", "authorized", "authorization_withdrawn"} <= {line["kind"] for line in lines}
    assert all(json.loads(line["detail_text"]) == line["detail"] for line in lines)
    later = await asyncio.to_thread(
        call, stage.db.dsn_as("rita"), ("audit", "export", "--after", str(len(lines) - 1)), b""
    )
    assert len(later.out.splitlines()) == 1


async def test_the_trail_is_not_changed_by_anyone_with_a_role(stage: Stage) -> None:
    await acts(stage)
    for sql in (
        "delete from tminus.audit_seals",
        "update tminus.audit_seals set hash = ''",
        "truncate tminus.audit_seals",
        "delete from tminus.unsealed_events",
    ):
        for role in ("alice", "bob", "api", "rita", "tminus_serve"):
            with pytest.raises(Exception, match="permission denied"):
                await stage.db.fetch(sql, role=role)
    with pytest.raises(Exception, match="append-only"):
        await stage.db.fetch("delete from tminus.audit_seals")


async def test_a_daemon_seals_remembers_and_notices(stage: Stage, tmp_path: Path) -> None:
    await add_sites(stage.db, "a")
    await insert(stage.db)
    trust = Trust(ttl=600, margin=10)
    trust.extend(_clock())

    async def seal_until(event: str) -> None:
        with capture_logs() as said:
            trail = audit.TrailMemory(tmp_path)
            sealer = Sealer(stage.store, trust, trail, instance=uuid4(), interval=0.05, observer=Mock(spec=Observer))
            task = asyncio.create_task(sealer.run())
            try:
                await until(lambda: asyncio.sleep(0, any(each["event"] == event for each in said)))
            finally:
                task.cancel()

    await seal_until("audit_sealed")
    await until(lambda: asyncio.sleep(0, audit.remembered_heads(tmp_path)))
    assert (await verify(stage, state_dir=tmp_path)).code == 0
    await stage.db.run(BEHIND + "update tminus.events set principal = 'carol' where kind = 'submitted';" + REWRITE)
    await seal_until("audit_trail_changed")


async def test_no_login_keeps_acts_from_being_sealed(stage: Stage) -> None:
    """Any login may take an advisory lock and keep it; nothing hangs on one."""
    await add_sites(stage.db, "a")
    async with (
        stage.db.anew("rita") as reader,
        stage.db.anew("tminus_serve") as daemon,
        stage.db.anew("tminus_serve") as other,
    ):
        await reader.execute("select pg_advisory_lock(hashtextextended('tminus.audit_seals', 0))")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("select from tminus.duties for update")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await reader.execute("begin; lock table tminus.duties in share mode")
        await stage.db.submit(":put 1", ["a"])
        async with daemon.transaction():
            assert (await daemon.fetchrow("select * from tminus.seal_events(100)"))["sealed"] >= 1
            assert (await other.fetchrow("select * from tminus.seal_events(100)"))["sealed"] == 0, "one at a time"

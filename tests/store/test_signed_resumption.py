"""After a restore a host goes on by an approver's signature alone: who owns the database accepts nothing in anybody's name.

The attacker is a superuser who writes past every trigger. What judges is one host: what it remembers in its state directory.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.signing import Approver
from tests.store.stage import Stage, refused, start_request
from tests.store.test_history import NONCE, a_start, writing
from tests.store.test_signed_acts import BEHIND, soon
from tminus.domain.resumption import RememberedStart, Resumption, resume_digest
from tminus.services.loop import Hint
from tminus.services.resumption import HeldHost
from tminus.signatures import Signers
from tminus.store import history
from tminus.store.history import History
from tminus.store.hold_log import HoldLog
from tminus.store.intent_log import IntentLog
from tminus.store.pool import open_database
from tminus.store.starts import Start
from tminus.store.writer import Writer

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "0000000000000002"
RESUME = "select tminus.resume('Restored.', 'bob', null, $1, $2, $3)"
ACCEPT = (
    BEHIND
    + "update tminus.lost_starts set accepted_at = tminus.clock(), accepted_by = 'bob', note = 'x' where accepted_at is null"
)


@dataclasses.dataclass(kw_only=True)
class Host:
    """One that runs a daemon which asks for signatures; bob's count."""

    stage: Stage
    folder: Path
    bob: Approver
    instance: UUID
    holds: HoldLog = dataclasses.field(init=False)
    intents: IntentLog = dataclasses.field(init=False)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __post_init__(self) -> None:
        (self.folder / "allowed").write_text(self.bob.signs_for())
        self.restart()

    def restart(self) -> None:
        self.holds = HoldLog(self.folder)
        self.intents = IntentLog(self.folder, self.instance, is_held=self.holds.is_held)

    async def meet(self) -> None:
        """Ask the database as a daemon does on a new connection."""
        asked = History(self.intents, in_hand=list, holds=self.holds)
        async with open_database(
            self.stage.db.dsn_as("tminus_serve"), size=1, application="tests", greet=asked.compare
        ):
            pass

    def watch(self, instance: UUID | None = None) -> HeldHost:
        return HeldHost(
            self.stage.store,
            self.holds,
            Signers(self.folder / "allowed", None),
            instance=instance or self.instance,
            resumed=Hint(),
            now=self.now,
        )

    async def look(self) -> str | None:
        """Why it starts nothing, on a new connection; None if it may."""
        await self.meet()
        why = await self.watch().look()
        assert self.intents.may_start() == (why is None)
        return why

    async def lose(self, *nonces: str) -> None:
        """Start something of which the database knows nothing any more."""
        await self.intents.write([a_start(nonce) for nonce in nonces])


async def host(stage: Stage, folder: Path, *nonces: str) -> Host:
    made = Host(stage=stage, folder=folder, bob=Approver.make(folder, "bob"), instance=await stage.instance())
    await made.lose(*nonces)
    return made


async def sign(stage: Stage, key: Approver, expires: datetime | None = None) -> tuple[str, datetime, str]:
    """What bob gives to tminus.resume, over what the database says."""
    expires = expires or await soon(stage)
    text = await stage.db.value("select tminus.resume_statement('bob', $1)", expires, role="rita")
    return key.sign(text), expires, await stage.db.value("select tminus.resume_digest()", role="rita")


async def test_lost_starts_that_the_superuser_of_the_database_accepts_hold_this_host_back(
    stage: Stage, tmp_path: Path
) -> None:
    made = await host(stage, tmp_path, NONCE)
    await stage.launch(made.instance, "a")
    run = (await stage.claim(made.instance))["a"].id
    assert "until an approver has signed" in (await made.look() or "")
    await stage.db.run(ACCEPT)
    assert not await stage.db.value("select tminus.is_paused()"), "by the database all is well"
    [numbers] = await stage.store.fetch("gauges")
    assert numbers["lost_starts"] == 1
    for _ in range(2):
        assert "until an approver has signed" in (await made.look() or "")
        writer = Writer(stage.store, made.instance, intents=made.intents, failed=lambda: None)
        async with writing(writer):
            assert await writer.start(start_request(run)) is Start.PAUSED
        assert await stage.db.value("select executing_at is null from tminus.site_runs")
        made.restart()  # nor does a start of the daemon help
    # Nor does it help to take away what this host said.
    await stage.db.run(BEHIND + "delete from tminus.host_holds; delete from tminus.lost_starts")
    assert "until an approver has signed" in (await made.look() or "")


async def test_acceptance_that_was_written_before_the_daemon_looked(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path, NONCE)
    await stage.db.run(
        BEHIND
        + "insert into tminus.lost_starts (nonce, site_run_id, launch_id, site_id, started_at, noticed_by, accepted_at, accepted_by, note)"
        f" values ('{NONCE}', 9, gen_random_uuid(), 'a', now(), 'x', now(), 'bob', 'x')"
    )
    assert "until an approver has signed" in (await made.look() or "")


async def test_a_signature_lets_it_go_on_and_is_what_the_database_showed(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path, NONCE, OTHER)
    await made.look()
    hold = made.holds.current
    assert hold is not None
    signature, expires, digest = await sign(stage, made.bob)
    ours = Resumption(holds=frozenset({hold.id}), starts=hold.starts, approver="bob", expires=expires)
    text = await stage.db.value("select tminus.resume_statement('bob', $1)", expires)
    assert (ours.text().decode(), ours.digest()) == (f"{text}\n", digest)
    assert "\nholds: 1\nstarts: 2\n" in text
    assert await stage.db.value(RESUME, signature, expires, digest, role="api") == 2
    assert await made.look() is None
    made.restart()
    assert await made.look() is None, "also after a start of the daemon"
    assert await stage.db.value("select released_at is not null from tminus.host_holds")
    [event] = await stage.events("resumed")
    assert json.loads(event["detail"])["signed"] is True
    assert await stage.db.value("select tminus.resume_statement('bob', now())") is None


async def test_an_old_signature_does_not_let_it_go_on_after_the_next_restore(stage: Stage, tmp_path: Path) -> None:
    """The same starts are lost again; the owner brings back what was signed, under the hold that is open now."""
    made = await host(stage, tmp_path, NONCE)
    await made.look()
    await stage.db.value(RESUME, *await sign(stage, made.bob), role="api")
    assert await made.look() is None
    # The restore: what was accepted is as unknown as what was started.
    await stage.db.run(BEHIND + "delete from tminus.lost_starts")
    assert "until an approver has signed" in (await made.look() or "")
    await stage.db.run(ACCEPT)
    assert "until an approver has signed" in (await made.look() or ""), "what was signed names the hold of then"
    hold = made.holds.current
    assert hold is not None
    await stage.db.run(BEHIND + f"update tminus.resumptions set holds = array['{hold.id}'::uuid]")
    assert "does not count" in (await made.look() or "")
    await stage.db.run(
        BEHIND
        + f"update tminus.resumptions set holds = holds || (select id from tminus.host_holds where id <> '{hold.id}')"
    )
    assert "does not count" in (await made.look() or "")


async def test_what_was_found_missing_after_the_signature_holds_it_back(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path, NONCE)
    await made.look()
    signed = await sign(stage, made.bob)
    await made.lose(OTHER)
    await made.meet()
    assert "not what you signed for" in await refused(stage.db, "api", RESUME, *signed)
    assert "2 lost starts or acts are known by now, not the 1" in await refused(
        stage.db, "api", "select tminus.resume('Restored.', 'bob', 1)"
    )
    # The owner stores it all the same.
    hold = made.holds.current
    assert hold is not None
    first = next(start for start in hold.starts if start.nonce == NONCE)
    async with stage.db.anew() as owner:
        await owner.execute(BEHIND)
        await owner.fetch(
            "insert into tminus.resumptions (holds, nonces, launches, sites, moments, approver, expires_at, signature)"
            " values (array[$1::uuid], array[$2], array[$3::uuid], array[$4], array[$5::timestamptz], 'bob', $6, $7)",
            hold.id, first.nonce, first.launch, first.site, first.at, signed[1], signed[0],
        )  # fmt: skip
    await stage.db.run(ACCEPT)
    assert "1 of the starts that are lost are not among those" in (await made.look() or "")
    shown = await stage.db.value("select why from tminus.host_holds")
    assert "not among those that were signed for" in shown


async def test_whose_signature_counts_and_until_when(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path, NONCE)
    await made.look()
    mallory = Approver.make(tmp_path, "mallory")
    await stage.db.value(RESUME, *await sign(stage, mallory), role="api")
    assert "what bob signed does not count" in (await made.look() or "")
    # The host waits, though the database says that all is accepted: it can be signed for again.
    await stage.db.value(RESUME, *await sign(stage, made.bob), role="api")
    made.now = lambda: datetime.now(UTC) + timedelta(hours=2)
    assert "it expired at" in (await made.look() or "")
    made.now = lambda: datetime.now(UTC)
    (tmp_path / "allowed").unlink()
    assert "does not count" in (await made.look() or "")
    (tmp_path / "allowed").write_text(made.bob.signs_for())
    assert await made.look() is None


async def test_a_daemon_that_lost_nothing_is_not_held_back(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path)
    assert await made.look() is None
    await stage.launch(made.instance, "a")
    run = (await stage.claim(made.instance))["a"].id
    writer = Writer(stage.store, made.instance, intents=made.intents, failed=lambda: None)
    async with writing(writer):
        assert await writer.start(start_request(run, NONCE, site="a")) is Start.GO
    # Another host lost something: once that is accepted, this one goes on without a signature.
    await stage.store.fetch("note_lost_starts", "x", [9], [OTHER], [uuid4()], ["b"], [datetime.now(UTC)])
    await stage.db.value("select tminus.resume('Restored.')", role="bob")
    made.restart()
    assert await made.look() is None
    assert not (tmp_path / "holds.jsonl").exists()


async def test_an_unsigned_resumption_is_refused_while_a_daemon_asks_for_signatures(
    stage: Stage, tmp_path: Path
) -> None:
    made = await host(stage, tmp_path, NONCE)
    await made.look()
    await stage.db.run(BEHIND + "update tminus.instances set requires_signature = true")
    said = await refused(stage.db, "bob", "select tminus.resume('Restored.')")
    assert "goes on with only what its approver has signed" in said
    signature, expires, digest = await sign(stage, made.bob)
    assert "arthur may not resume" in await refused(
        stage.db, "arthur", "select tminus.resume('x', null, null, $1, $2, $3)", signature, expires, digest
    )
    assert "has to expire" in await refused(stage.db, "api", RESUME, signature, None, digest)
    assert "ssh-keygen" in await refused(stage.db, "api", RESUME, "me", expires, digest)
    assert await stage.db.value(RESUME, signature, expires, digest, role="api") == 1


async def test_a_hold_that_cannot_be_kept_or_ended_on_the_disk_lasts(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path, NONCE)
    (tmp_path / "holds.jsonl").mkdir()  # the disk says no, whoever asks
    assert "until an approver has signed" in (await made.look() or "")
    await stage.db.value(RESUME, *await sign(stage, made.bob), role="api")
    assert "cannot be kept in state_dir" in (await made.look() or "")
    (tmp_path / "holds.jsonl").rmdir()
    assert await made.look() is None


async def test_what_makes_no_sense_in_the_database_is_passed_over(stage: Stage, tmp_path: Path) -> None:
    made = await host(stage, tmp_path, NONCE)
    await made.look()
    await stage.db.value(RESUME, *await sign(stage, made.bob), role="api")
    await stage.db.run(BEHIND + "update tminus.resumptions set nonces = nonces || 'x'::text, approver = e'bob\\nx'")
    hold = made.holds.current
    assert hold is not None
    assert await history.resumptions_of(stage.store, hold.id) == []
    assert "until an approver has signed" in (await made.look() or "")


async def test_no_two_sets_of_holds_and_starts_have_one_digest() -> None:
    one, two = uuid4(), uuid4()
    start = RememberedStart(nonce="1:a,", launch=one, site="b", at=datetime.now(UTC))
    changed = (
        dataclasses.replace(start, nonce="1:"),
        dataclasses.replace(start, site="bb"),
        dataclasses.replace(start, launch=two),
        dataclasses.replace(start, at=start.at + timedelta(microseconds=1)),
    )
    digests = {resume_digest(holds, starts) for holds in ((), (one,), (two,), (one, two)) for starts in ((), (start,))}
    digests |= {resume_digest((one,), (each,)) for each in changed}
    assert len(digests) == 12

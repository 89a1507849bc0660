"""Each further act on a launch needs a signature of its own: who owns the database retries, resumes and confirms nothing.

The attacker is a superuser who writes past every trigger and recomputes what the schema would. What judges is the daemon's
Authority, on a host that remembers what it saw.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.signing import Approver
from tests.store.stage import HOST_KEY, Stage, add_sites, insert, refused
from tests.store.test_waves import end, launch_row, names
from tminus.domain.authorization import FurtherAct
from tminus.domain.digest import SitePart
from tminus.domain.occurrence import Occurrence
from tminus.errors import ConfigError
from tminus.services.authority import Authority
from tminus.services.mandate import Mandate, Refusal
from tminus.signatures import Signers
from tminus.store import launches
from tminus.store.act_log import Act, ActLog, Did
from tminus.store.launches import LaunchContent, housekeeping

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEHIND = "set session_replication_role = replica; "


@dataclasses.dataclass(kw_only=True)
class Scene:
    """A launch that bob signed, and the host of a daemon."""

    stage: Stage
    folder: Path
    bob: Approver
    instance: UUID
    script: UUID = dataclasses.field(default_factory=uuid4)
    spent: set[int] = dataclasses.field(default_factory=set)

    def authority(
        self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), remembered: timedelta | None = None
    ) -> Authority:
        """As it is after a start of the daemon on this host."""
        (self.folder / "allowed").write_text(self.bob.signs_for())
        return Authority(
            self.stage.store,
            Signers(self.folder / "allowed", None),
            distinct=True,
            longest_launch=timedelta(days=1),
            acts=ActLog(self.folder, keep=remembered),
            is_spent=self.spent.__contains__,
            remembered=remembered,
            now=now,
        )

    async def content(self, launch: object = None) -> LaunchContent:
        launch = launch or (await launch_row(self.stage, self.script))["id"]
        return await launches.launch_content(self.stage.store, UUID(str(launch)))

    async def site(self, name: str) -> SitePart:
        row = (await self.stage.db.fetch("select * from tminus.sites where id = $1", name))[0]
        return SitePart(
            id=name, jump_host=None, address=row["address"], port=22, username=None, credential=None, host_key=HOST_KEY
        )

    async def why_not(self, authority: Authority, content: LaunchContent, site: str) -> str | None:
        """Why nothing may be started on a site; None if it may."""
        assert await authority.is_ready()
        mandate = await authority.mandate(content)
        if isinstance(mandate, Refusal):
            return mandate.why
        assert isinstance(mandate, Mandate)
        return authority.why_not(mandate, await self.site(site))

    async def sign(self, text: str, key: Approver | None = None) -> str:
        return (key or self.bob).sign(text)


async def scene(stage: Stage, folder: Path, sites: int = 3, **columns: object) -> Scene:
    await add_sites(stage.db, *names(sites))
    await stage.db.fetch("update tminus.sites set host_key = $1", HOST_KEY, role="api")
    bob = Approver.make(folder, "bob")
    made = Scene(stage=stage, folder=folder, bob=bob, instance=await stage.instance(ttl=1e6))
    made.script = await insert(stage.db, launch_at=datetime.now(UTC) + timedelta(seconds=20), **columns)
    await bob.authorize(stage.db, made.script)
    await stage.db.move_clock(timedelta(seconds=21))
    assert None not in await stage.launch_due(made.instance)
    return made


async def soon(stage: Stage) -> datetime:
    return (await stage.db.value("select tminus.clock()")) + timedelta(hours=1)


RETRY = "select tminus.retry($1, sites => $2, by => 'bob', id => $3, signature => $4, expires => $5)"
RETRIED = "select tminus.retry_statement($1, $2, $3, 'bob', $4)"


async def ended(stage: Stage, folder: Path) -> Scene:
    made = await scene(stage, folder)
    claims = await stage.claim(made.instance)
    for site, how in zip(names(3), ("completed", "offline", "offline"), strict=True):
        await end(stage, made.instance, claims[site].id, how)
    await housekeeping(stage.store)
    return made


async def retried(made: Scene, sites: list[str] | None = None) -> UUID:
    db, expires, new = made.stage.db, await soon(made.stage), uuid4()
    launch = (await launch_row(made.stage, made.script))["id"]
    text = await db.value(RETRIED, launch, new, sites, expires, role="rita")
    assert await db.value(RETRY, launch, sites, new, made.bob.sign(text), expires, role="api") == new
    return new


async def test_a_signed_retry_is_of_the_sites_that_it_names_and_of_no_other(stage: Stage, tmp_path: Path) -> None:
    made = await ended(stage, tmp_path)
    authority, content = made.authority(), await made.content(await retried(made, ["s001"]))
    assert (await made.why_not(authority, content, "s001")) is None
    for other in ("s000", "s002"):
        assert "not as it was signed" in (await made.why_not(authority, content, other) or "")
    [row] = await stage.db.fetch("select * from tminus.authorizations where act = 'retry'")
    assert (row["approver"], row["site_ids"], row["launch_id"]) == ("bob", ["s001"], content.id)
    assert content.authorization is not None
    statement = content.occasion.statement()
    text = await stage.db.value(
        RETRIED, (await launch_row(stage, made.script))["id"], content.id, ["s001"], statement.expires
    )
    assert statement.text() == f"{text}\n".encode()


async def test_retry_with_other_sites_than_were_signed(stage: Stage, tmp_path: Path) -> None:
    """The owner adds a site to the signed retry, and recomputes each digest."""
    made = await ended(stage, tmp_path)
    new = await retried(made, ["s001"])
    await stage.db.run(
        BEHIND + "update tminus.authorizations r set site_ids = a.site_ids, site_digests = a.site_digests, digest = a.digest"
        " from tminus.authorizations a where r.act = 'retry' and a.act = 'launch'"
    )  # fmt: skip
    assert "counts here" in (await made.why_not(made.authority(), await made.content(new), "s002") or "")


async def test_replay_of_a_retry_signature(stage: Stage, tmp_path: Path) -> None:
    """Under another id it is not what was signed; under its own, what it started is spent."""
    made = await ended(stage, tmp_path)
    new = await retried(made)
    first = await made.content(new)
    again = uuid4()
    await stage.db.run(
        BEHIND + f"update tminus.launches set id = '{again}' where id = '{new}';"
        f" update tminus.authorizations set launch_id = '{again}' where launch_id = '{new}'"
    )  # fmt: skip
    second = await made.content(again)
    assert "counts here" in (await made.why_not(made.authority(), second, "s001") or "")
    await stage.db.run(
        BEHIND + f"update tminus.launches set id = '{new}', due_at = due_at + interval '1 minute' where id = '{again}'"
    )
    third = await made.content(new)
    assert third.occurrence.key("s001") == first.occurrence.key("s001"), "the intent log knows it"


async def test_a_retry_that_nobody_signed(stage: Stage, tmp_path: Path) -> None:
    made = await ended(stage, tmp_path)
    launch = (await launch_row(stage, made.script))["id"]
    unsigned = "select tminus.retry($1, by => 'bob')"
    await stage.db.run(BEHIND + "update tminus.instances set requires_signature = true")
    assert "retries only what its approver has signed" in await refused(stage.db, "api", unsigned, launch)
    await stage.db.run(BEHIND + "update tminus.instances set requires_signature = false")
    new = await stage.db.value(unsigned, launch, role="api")
    why = await made.why_not(made.authority(), await made.content(new), "s001")
    assert why == "a retry needs a signature of its own, which expires"


async def test_a_retry_signature_after_its_time(stage: Stage, tmp_path: Path) -> None:
    made = await ended(stage, tmp_path)
    content = await made.content(await retried(made))
    late = made.authority(now=lambda: datetime.now(UTC) + timedelta(hours=2))
    assert "expired" in (await made.why_not(late, content, "s001") or "")


async def test_a_retry_is_signed_by_somebody_else_than_the_author(stage: Stage, tmp_path: Path) -> None:
    made = await ended(stage, tmp_path)
    launch, expires, new = (await launch_row(stage, made.script))["id"], await soon(stage), uuid4()
    by_alice = RETRY.replace("'bob'", "'alice'")
    text = await stage.db.value(RETRIED.replace("'bob'", "'alice'"), launch, new, None, expires)
    signature = made.bob.sign(text)
    assert "alice is the author" in await refused(stage.db, "api", by_alice, launch, None, new, signature, expires)
    await stage.db.run("update tminus.policy set approval = 'off'")
    await stage.db.value(by_alice, launch, None, new, signature, expires, role="api")
    assert "their own" in (await made.why_not(made.authority(), await made.content(new), "s001") or "")


async def test_an_old_signature_after_its_script_was_cancelled(stage: Stage, tmp_path: Path) -> None:
    """This host saw that the launch was stopped: what was signed for it is over, whatever the owner makes of the row."""
    made = await scene(stage, tmp_path)
    authority, content = made.authority(), await made.content()
    assert await made.why_not(authority, content, "s000") is None
    await stage.db.fetch("select tminus.cancel($1)", made.script, role="alice")
    assert await authority.is_ready()
    await stage.db.run(
        BEHIND + "update tminus.launches set state = 'running', finished_at = null, reason = null;"
        " update tminus.site_runs set state = 'pending', reason = null, effect = null, message = null, finished_at = null"
    )  # fmt: skip
    for judge in (authority, made.authority()):
        assert "halted or cancelled" in (await made.why_not(judge, await made.content(), "s000") or "")
    # Nor as another launch of the same occurrence.
    await stage.db.run(BEHIND + f"update tminus.launches set id = '{uuid4()}'")
    assert "halted or cancelled" in (await made.why_not(made.authority(), await made.content(), "s000") or "")


PAUSE = "select tminus.pause_launch($1, 'why', 'bob')"
RESUME = "select tminus.resume_launch($1, 'bob', $2, $3)"
STATED = "select tminus.launch_statement($1, $2, 'bob', $3, $4)"


async def resumed(made: Scene) -> None:
    db, expires = made.stage.db, await soon(made.stage)
    text = await db.value(STATED, made.script, "resume", expires, None, role="rita")
    await db.value(RESUME, made.script, made.bob.sign(text), expires, role="api")


async def test_resume_without_a_signature_by_the_superuser_of_the_database(stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    authority = made.authority()
    mandate = await authority.mandate(await made.content())
    assert isinstance(mandate, Mandate)
    await stage.db.value(PAUSE, made.script, role="api")
    assert await authority.is_ready()  # it looks every few seconds
    assert "nobody signed" in (authority.why_not(mandate, await made.site("s000")) or ""), (
        "it was claimed before the pause"
    )
    await stage.db.run(BEHIND + "update tminus.launches set paused_at = null, paused_by = null, pause_note = null")
    content = await made.content()
    for judge in (authority, made.authority()):  # also after a start of the daemon
        why = await made.why_not(judge, content, "s000")
        assert why is not None
        assert "nobody signed for it to go on" in why


async def test_a_signed_resume_lets_it_go_on_once(stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    authority = made.authority()
    pauses: list[Any] = []
    for _ in range(2):
        await stage.db.value(PAUSE, made.script, role="api")
        pauses.append((await launch_row(stage, made.script))["paused_at"])
        assert await authority.is_ready()
        assert "nobody signed" in (await made.why_not(authority, await made.content(), "s000") or "")
        await resumed(made)
        assert await made.why_not(authority, await made.content(), "s000") is None
        await stage.db.move_clock(timedelta(seconds=1))
    # A third pause, and the owner brings back the signature of the first, with the pause that it names.
    await stage.db.value(PAUSE, made.script, role="api")
    assert await authority.is_ready()
    async with stage.db.anew() as owner:
        await owner.execute(BEHIND)
        await owner.fetch("update tminus.launches set paused_at = $1", pauses[0])
        assert await authority.is_ready()
        await owner.execute("update tminus.launches set paused_at = null, paused_by = null, pause_note = null")
    for judge in (authority, made.authority()):
        assert "nobody signed" in (await made.why_not(judge, await made.content(), "s000") or "")


async def test_who_resumes_and_confirms_where_signatures_are_required(stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path, wave_sizes=["1"], wave_confirm=True)
    await stage.db.run(BEHIND + "update tminus.instances set requires_signature = true")
    await stage.run_through(made.instance, (await stage.claim(made.instance))["s000"].id)
    asked = "goes on with only what its approver has signed"
    assert asked in await refused(stage.db, "bob", "select tminus.confirm_wave($1, 2)", made.script)
    await stage.db.value(PAUSE, made.script, role="api")
    assert asked in await refused(stage.db, "bob", "select tminus.resume_launch($1)", made.script)
    expires = await soon(stage)
    text = await stage.db.value(STATED, made.script, "resume", expires, None)
    by_alice = RESUME.replace("'bob'", "'alice'")
    signature = made.bob.sign(text)
    assert "alice is the author" in await refused(stage.db, "api", by_alice, made.script, signature, expires)
    by_her = RESUME.replace("'bob'", "'Alice '")
    assert "Alice  is the author" in await refused(stage.db, "api", by_her, made.script, signature, expires)
    assert "has to expire" in await refused(stage.db, "api", RESUME, made.script, signature, None)
    assert "ssh-keygen" in await refused(stage.db, "api", RESUME, made.script, "me", expires)
    await stage.db.value(RESUME, made.script, signature, expires, role="api")
    [event] = await stage.events("launch_resumed")
    assert '"signed": true' in event["detail"]


async def test_a_wave_that_nobody_confirmed_by_signature(stage: Stage, tmp_path: Path) -> None:
    """The owner opens all waves; this host starts what the first has, and then what is signed for."""
    made = await scene(stage, tmp_path, 4, wave_sizes=["1", "1"], wave_confirm=True)
    authority = made.authority()
    await stage.db.run(
        BEHIND + "update tminus.launches set wave = 3, confirmed_wave = 3, open_to = 2147483647;"
        " update tminus.site_runs set wave = 1"
    )
    content = await made.content()
    assert await made.why_not(authority, content, "s000") is None
    for site in ("s001", "s002", "s003"):
        assert "confirmed by a signature" in (await made.why_not(authority, content, site) or "")
    await stage.db.run(
        BEHIND
        + "update tminus.launches set wave = 1, confirmed_wave = 1, open_to = 1; update tminus.site_runs set wave = least(position, 3)"
    )
    await stage.run_through(made.instance, (await stage.claim(made.instance, 1))["s000"].id)
    expires = await soon(stage)
    text = await stage.db.value(STATED, made.script, "confirm", expires, 2)
    assert "\nwave: 2\n" in text
    confirm = "select tminus.confirm_wave($1, 2, 'bob', $2, $3)"
    await stage.db.value(confirm, made.script, made.bob.sign(text), expires, role="api")
    assert await made.why_not(authority, content, "s001") is None
    for judge in (authority, made.authority()):
        assert "confirmed by a signature" in (await made.why_not(judge, content, "s002") or "")
    # That signature again, as if it were for the next wave.
    await stage.db.run(BEHIND + "update tminus.authorizations set wave = 3 where act = 'confirm'")
    assert "confirmed by a signature" in (await made.why_not(authority, content, "s002") or "")


async def test_waves_in_an_order_that_nobody_signed_hold_as_many_sites_as_were_signed_for(
    stage: Stage, tmp_path: Path
) -> None:
    """Tags decide the order there, and tags are not signed: any sites, but no more of them than the wave has."""
    made = await scene(stage, tmp_path, 4, wave_sizes=["2"], wave_order=["first"], wave_confirm=True)
    authority, content = made.authority(), await made.content()
    assert await made.why_not(authority, content, "s003") is None
    assert await made.why_not(authority, content, "s003") is None, "it takes one place"
    assert await made.why_not(authority, content, "s001") is None
    assert "confirmed by a signature" in (await made.why_not(authority, content, "s000") or "")
    made.spent = {content.occurrence.key("s003"), content.occurrence.key("s001")}  # of the intent log
    assert "confirmed by a signature" in (await made.why_not(made.authority(), content, "s002") or "")


async def test_a_confirmation_of_another_occurrence_confirms_nothing(stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path, wave_sizes=["1"], wave_confirm=True)
    content, expires = await made.content(), await soon(stage)
    act = FurtherAct(act="confirm", wave=2, since=None, approver="bob", expires=expires, signature="")
    occasion = content.occasion
    texts = {
        dataclasses.replace(occasion, **change).statement_of(act).text()  # type: ignore[arg-type]
        for change in ({}, {"launch": uuid4()}, {"due_at": content.due_at + timedelta(days=1)})
    }
    assert len(texts) == 3


async def test_what_is_kept_of_people_outlives_a_line_that_was_not_written_whole(tmp_path: Path) -> None:
    one, two = (Occurrence(digest="tminus1:x", name=name) for name in ("once", "at noon"))
    since = datetime.now(UTC)
    acts = ActLog(tmp_path)
    await acts.keep(Act(occurrence=one, did=Did.PAUSED, since=since))
    await acts.keep(Act(occurrence=one, did=Did.PAUSED, since=since))
    with (tmp_path / "acts.jsonl").open("ab") as file:
        file.write(b'{"digest": "tminus1:x", "occurr')
    await ActLog(tmp_path).keep(Act(occurrence=two, did=Did.CONFIRMED, wave=3))
    await ActLog(tmp_path).probe()
    again = ActLog(tmp_path)
    assert again.standing(one).paused == {since}
    assert again.standing(two).confirmed == 3
    assert (tmp_path / "acts.jsonl").read_text().count('"paused"') == 1
    await again.keep(Act(occurrence=one, did=Did.RESUMED, since=since))
    await again.keep(Act(occurrence=one, did=Did.PAUSED, since=since))
    assert not ActLog(tmp_path).standing(one).paused


async def test_what_would_count_for_longer_than_this_host_remembers_does_not_count(
    stage: Stage, tmp_path: Path
) -> None:
    made = await ended(stage, tmp_path)
    content = await made.content(await retried(made))  # it expires in an hour
    forgetful = made.authority(remembered=timedelta(minutes=30))
    why = await made.why_not(forgetful, content, "s001")
    assert why is not None
    assert "this host remembers what is spent" in why
    assert await made.why_not(made.authority(remembered=timedelta(hours=2)), content, "s001") is None


async def test_a_resume_that_would_count_for_longer_than_this_host_remembers_does_not_count(
    stage: Stage, tmp_path: Path
) -> None:
    made = await scene(stage, tmp_path)
    authority = made.authority(remembered=timedelta(minutes=30))
    await stage.db.value(PAUSE, made.script, role="api")
    assert await authority.is_ready()
    await resumed(made)
    assert "nobody signed" in (await made.why_not(authority, await made.content(), "s000") or "")
    assert await made.why_not(made.authority(), await made.content(), "s000") is None


async def test_what_was_stopped_is_remembered_until_nothing_of_it_can_be_started(stage: Stage, tmp_path: Path) -> None:
    made = await scene(stage, tmp_path)
    await stage.db.value(PAUSE, made.script, role="api")
    assert await made.authority().is_ready()
    content = await made.content()
    [line] = [json.loads(text) for text in (tmp_path / "acts.jsonl").read_text().splitlines()]
    start_within, longest = timedelta(hours=1), timedelta(days=1)
    assert datetime.fromisoformat(line["until"]) == content.due_at + start_within + longest


ONE = Occurrence(digest="tminus1:x", name="once")


def line_of(occurrence: str, at: datetime, until: datetime | None) -> str:
    moments = {"at": at.isoformat(), "until": until and until.isoformat()}
    value = {"digest": "tminus1:x", "occurrence": occurrence, "did": "over", "since": None, "wave": None, **moments}
    return json.dumps(value) + "\n"


async def test_what_was_over_long_ago_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    now, file = datetime.now(UTC), tmp_path / "acts.jsonl"
    old = now - timedelta(days=30)
    file.write_text(
        line_of("long over", old, old + timedelta(days=1))
        + line_of("over since yesterday", old, now - timedelta(days=1))
        + line_of("never over", old, None)
        + line_of("once more", old, old)
        + line_of("now", now, now + timedelta(days=1))
        + line_of("once more", now, now)
        + '{"digest": "tminus1:x", "occurr'
    )
    kept = {"over since yesterday", "never over", "once more", "now"}
    for _ in range(2):
        acts = ActLog(tmp_path, keep=timedelta(days=7))
        names = {json.loads(line)["occurrence"] for line in file.read_text().splitlines()}
        assert names == kept
        assert not acts.standing(Occurrence(digest="tminus1:x", name="long over")).is_over
        for name in kept:
            assert acts.standing(Occurrence(digest="tminus1:x", name=name)).is_over
    assert [path.name for path in tmp_path.iterdir()] == ["acts.jsonl"]


async def test_a_clock_that_runs_ahead_makes_this_host_forget_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    (tmp_path / "acts.jsonl").write_text(line_of("once", now, now))

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return now + timedelta(days=3650)

    monkeypatch.setattr("tminus.store.act_log.datetime", Ahead)
    assert ActLog(tmp_path, keep=timedelta(days=7)).standing(ONE).is_over


async def test_it_forgets_while_it_goes_on_as_well(tmp_path: Path) -> None:
    now, file = datetime.now(UTC), tmp_path / "acts.jsonl"
    acts = ActLog(tmp_path, keep=timedelta(0))
    for number in range(400):
        what = Occurrence(digest="tminus1:x", name=str(number))
        await acts.keep(Act(occurrence=what, did=Did.OVER), until=now - timedelta(days=1))
    assert len(file.read_text().splitlines()) < 250
    await acts.keep(Act(occurrence=ONE, did=Did.OVER), until=now + timedelta(days=1))
    assert ActLog(tmp_path, keep=timedelta(0)).standing(ONE).is_over


async def test_a_host_that_dies_while_it_forgets_has_forgotten_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, file = datetime.now(UTC), tmp_path / "acts.jsonl"
    old = now - timedelta(days=30)
    file.write_text(line_of("long over", old, old) + line_of("once", now, None))

    def die(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr("tminus.store.memory_file.os.fsync", die)
        with pytest.raises(ConfigError, match="cannot be written anew"):
            ActLog(tmp_path, keep=timedelta(days=7))
    assert file.read_text() == line_of("long over", old, old) + line_of("once", now, None)
    assert ActLog(tmp_path, keep=timedelta(days=7)).standing(ONE).is_over
    assert len(file.read_text().splitlines()) == 1

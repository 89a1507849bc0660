"""A password is sent only to sites for which an approver has signed; and what a mandate says of a site."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast
from unittest.mock import Mock
from uuid import uuid4

import pytest
from pydantic import SecretStr

from tests.signing import Approver
from tests.store.stage import HOST_KEY, Stage, add_sites, insert
from tminus.device.connection import Connection
from tminus.device.connector import Connector
from tminus.device.credentials import Credential
from tminus.domain.digest import SitePart
from tminus.errors import ConfigError
from tminus.routeros.commands import Nonce
from tminus.services.authority import Authority
from tminus.services.contact import Contact
from tminus.services.heartbeat import Trust
from tminus.services.launcher import Launcher
from tminus.services.loop import Hint
from tminus.services.mandate import Mandate, Refusal
from tminus.services.observer import Observer
from tminus.services.whereabouts import Sought, find_again
from tminus.signatures import Signers
from tminus.store import launches
from tminus.store.act_log import ActLog
from tminus.store.site_runs import Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

PART = SitePart(id="a", jump_host=None, address="", port=22, username=None, credential=None, host_key=HOST_KEY)
SITE = Site(part=PART, seen_host_key=None, runner=None, enabled=True, serial=None)
PASSWORD = Credential(name="default", username="admin", password=SecretStr("secret"))


class Reached(Exception):
    pass


class NoNetwork:
    """Instead of a connector: says that it would have logged in."""

    async def connect(self, *_: object, **__: object) -> Connection:
        raise Reached


async def authority(stage: Stage, folder: Path, *approvers: Approver) -> Authority:
    (folder / "allowed").write_text("".join(approver.signs_for() for approver in approvers))
    return Authority(
        stage.store,
        Signers(folder / "allowed", None),
        distinct=True,
        longest_launch=timedelta(days=1),
        acts=ActLog(folder),
        is_spent=lambda _: False,
    )


async def site(stage: Stage) -> Site:
    await stage.db.run(f"update tminus.sites set host_key = '{HOST_KEY}' where id = 'a'", role="api")
    row = (await stage.db.fetch("select * from tminus.sites where id = 'a'"))[0]
    return replace(SITE, part=replace(PART, address=row["address"], host_key=row["host_key"]))


async def test_a_password_is_sent_to_nobody_for_whom_no_approver_signed(stage: Stage, tmp_path: Path) -> None:
    await add_sites(stage.db, "a")
    bob, mallory = Approver.make(tmp_path, "bob"), Approver.make(tmp_path, "mallory")
    there = await site(stage)
    contact = Contact(cast("Connector", NoNetwork()), {"default": PASSWORD})
    with pytest.raises(Reached):  # where signatures are not required
        await contact.connect(there)
    contact.vouches_for = (await authority(stage, tmp_path, bob)).vouches_for
    with pytest.raises(ConfigError, match="nobody has signed for a as it is now"):
        await contact.connect(there)
    # Signed by somebody who may not, and by nobody.
    await mallory.authorize(stage.db, await insert(stage.db))
    columns = "script_id, digest, row_digest, site_ids, site_digests, author, editor"
    await stage.db.run(
        f"insert into tminus.authorizations ({columns}, approver) select {columns}, 'bob' from tminus.authorizations"
    )
    with pytest.raises(ConfigError, match="nobody has signed"):
        await contact.connect(there)
    await bob.authorize(stage.db, await insert(stage.db))
    with pytest.raises(Reached):
        await contact.connect(there)
    for elsewhere in (
        replace(there.part, address="evil.example"),
        replace(there.part, port=2222),
        replace(there.part, host_key=HOST_KEY[:-1] + "z"),
        replace(there.part, host_key=None),
        replace(there.part, ssh_profile="legacy"),
        replace(there.part, sensitive_export=True),
    ):
        with pytest.raises(ConfigError, match="nobody has signed"):
            await contact.connect(replace(there, part=elsewhere))


async def test_a_router_that_may_move_is_sent_its_password_where_that_was_signed(stage: Stage, tmp_path: Path) -> None:
    await add_sites(stage.db, "a")
    bob = Approver.make(tmp_path, "bob")
    await stage.db.run(
        "update tminus.sites set variables = '{\"zone\": \"x\"}', return_address = '192.0.2.99' where id = 'a'",
        role="api",
    )
    there = await site(stage)
    there = replace(there, variables={"zone": "x"}, part=replace(there.part, return_address="192.0.2.99"))
    await bob.authorize(stage.db, await insert(stage.db, script=":put $(zone)"))
    contact = Contact(cast("Connector", NoNetwork()), {"default": PASSWORD})
    contact.vouches_for = (await authority(stage, tmp_path, bob)).vouches_for
    sought = Sought(
        site=there,
        host_key=None,
        covered=there.part_of(("zone",), {}),
        nonce=Nonce("0123456789abcdef"),
        serial="HC0ANY0SERIAL",
        may_have_moved=True,
    )
    assert [place.part.address for place in sought.places] == ["192.0.2.99", there.part.address]
    with pytest.raises(Reached):
        await find_again(sought, contact, deadline=1)
    elsewhere = replace(there, part=replace(there.part, return_address="evil.example"))
    asked = replace(sought, site=elsewhere, covered=elsewhere.part_of(("zone",), {}))
    with pytest.raises(ConfigError, match="nobody has signed"):
        await find_again(asked, contact, deadline=1)
    # Without a key that is known nothing is looked for elsewhere.
    unknown = replace(there, part=replace(there.part, host_key=None))
    assert replace(sought, site=unknown).places == (unknown,)


async def test_who_signed_for_a_site_with_its_variables_signed_for_the_site(stage: Stage, tmp_path: Path) -> None:
    await add_sites(stage.db, "a")
    bob = Approver.make(tmp_path, "bob")
    there = replace(await site(stage), variables={"zone": "x"})
    await stage.db.run("update tminus.sites set variables = '{\"zone\": \"x\"}' where id = 'a'", role="api")
    await bob.authorize(stage.db, await insert(stage.db, script=":put $(zone)"))
    contact = Contact(cast("Connector", NoNetwork()), {"default": PASSWORD})
    contact.vouches_for = (await authority(stage, tmp_path, bob)).vouches_for
    covered = there.part_of(("zone",), {})
    for other in (replace(covered, variables=None), replace(covered, variables="4:zone,8:string:y,")):
        with pytest.raises(ConfigError, match="nobody has signed"):
            await contact.connect(there, covered=other)
    with pytest.raises(Reached):
        await contact.connect(there, covered=covered)
    with pytest.raises(Reached):  # the same router in the same way
        await contact.connect(there)
    elsewhere = replace(there, part=replace(there.part, address="evil.example"))
    with pytest.raises(ConfigError, match="nobody has signed"):
        await contact.connect(elsewhere, covered=elsewhere.part_of(("zone",), {}))


async def test_a_site_digest_that_is_put_into_a_signed_authorization_is_not_signed(
    stage: Stage, tmp_path: Path
) -> None:
    await add_sites(stage.db, "a", "b")
    bob = Approver.make(tmp_path, "bob")
    there = await site(stage)
    await bob.authorize(stage.db, await insert(stage.db, sites=["b"]))
    await stage.db.run(
        "set session_replication_role = replica; update tminus.authorizations set site_ids = '{b,a}',"
        " site_digests = site_digests || (select tminus.site_digest(s) from tminus.sites s where s.id = 'a')"
    )
    assert not await (await authority(stage, tmp_path, bob)).vouches_for(there.part)


async def test_what_may_be_launched_and_when(stage: Stage, tmp_path: Path) -> None:
    """By this host's clock, whatever the database's says."""
    await add_sites(stage.db, "a")
    there = await site(stage)
    bob = Approver.make(tmp_path, "bob")
    script = await insert(stage.db, launch_at=datetime.now(UTC) + timedelta(minutes=5))
    await bob.authorize(stage.db, script)
    await stage.db.move_clock(timedelta(minutes=6))
    instance = await stage.instance()
    [launch] = await stage.launch_due(instance)

    assert launch is not None
    content = await launches.launch_content(stage.store, launch)
    mandate = await (await authority(stage, tmp_path, bob)).mandate(content)
    assert isinstance(mandate, Mandate)
    at = content.due_at
    assert "comes" in (mandate.why_not(there.part, at - timedelta(minutes=1)) or "")
    assert mandate.why_not(there.part, at) is None
    assert mandate.why_not(there.part, at + timedelta(hours=24)) is None
    assert "passed" in (mandate.why_not(there.part, at + timedelta(hours=26)) or "")
    assert "not as it was signed" in (mandate.why_not(replace(there.part, port=23), at) or "")
    assert "not as it was signed" in (mandate.why_not(replace(there.part, id="b"), at) or "")
    assert "pinned" in (mandate.why_not(replace(there.part, host_key=None), at) or "")


async def test_an_occurrence_that_is_made_up_for_is_judged_by_its_own_time(stage: Stage, tmp_path: Path) -> None:
    """Those that it overtakes are over, by the clock of this host as well."""
    await add_sites(stage.db, "a")
    bob = Approver.make(tmp_path, "bob")
    script = await insert(
        stage.db, launch_at=None, cron="* * * * *", missed_policy="run_latest", start_within=timedelta(minutes=10)
    )
    await bob.authorize(stage.db, script)
    trust = Trust(ttl=600, margin=1)
    trust.extend(trust.now())
    moved = timedelta(minutes=9)
    launcher = Launcher(
        stage.store,
        await stage.instance(),
        trust,
        may_start=lambda: True,
        poll_interval=1.0,
        observer=Mock(spec=Observer),
        launched=Hint(),
        authority=Authority(
            stage.store,
            Signers(tmp_path / "allowed", None),
            distinct=True,
            longest_launch=timedelta(days=1),
            acts=ActLog(tmp_path),
            is_spent=lambda _: False,
            # Of several that are in time by the database, by this host only the latest two are.
            now=lambda: datetime.now(UTC) + moved + timedelta(minutes=8),
        ),
    )
    (tmp_path / "allowed").write_text(bob.signs_for())
    await launcher._work()
    await stage.db.move_clock(moved)
    await launcher._work()
    rows = await stage.db.fetch("select state, due_at, tminus.clock() as now from tminus.launches order by due_at")
    assert [row["state"] for row in rows] == ["missed", "running"]
    assert rows[1]["now"] - rows[1]["due_at"] < timedelta(minutes=2)


async def test_a_local_time_is_launched_where_it_was_signed_and_nowhere_farther(stage: Stage, tmp_path: Path) -> None:
    await add_sites(stage.db, "a")
    await stage.db.run("update tminus.sites set timezone = 'Pacific/Kiritimati' where id = 'a'", role="api")
    there = await site(stage)
    bob = Approver.make(tmp_path, "bob")
    local = (datetime.now(UTC) + timedelta(hours=20)).replace(tzinfo=None)
    script = await insert(stage.db, launch_at=None, local_time=local)
    await bob.authorize(stage.db, script)
    await stage.db.move_clock(timedelta(hours=6, minutes=1))
    [launch] = await stage.launch_due(await stage.instance())
    assert launch is not None
    content = await launches.launch_content(stage.store, launch)
    judge = await authority(stage, tmp_path, bob)
    mandate = await judge.mandate(content)
    assert isinstance(mandate, Mandate)
    assert content.due_at == local.replace(tzinfo=UTC) - timedelta(hours=14)
    assert mandate.why_not(there.part, content.due_at) is None
    moved = replace(content, id=uuid4(), due_at=content.due_at - timedelta(seconds=1))
    refusal = await judge.mandate(moved)
    assert isinstance(refusal, Refusal)
    assert "in any time zone" in refusal.why

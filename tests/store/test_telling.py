"""Telling people: who hears of what, each letter once by its id, and mail servers and receivers that fail, stall and return."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from unittest.mock import Mock, call
from uuid import UUID

import asyncpg
import pytest

from tests.mailroom import SECRET, MailServer, mail_server, receiver
from tests.store.stage import Stage, add_sites, authorize, insert, refused
from tests.support import until
from tminus.channels.letter import Channel, Letter, Send
from tminus.channels.webhook import sign
from tminus.domain.news import NewsKind
from tminus.services.notifier import Lane, Notifier
from tminus.services.observer import Observer
from tminus.store import news

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = timedelta(days=1)


def notifier(stage: Stage, *lanes: Lane, observer: Observer | None = None, **settings: Any) -> Notifier:
    given = {"before": timedelta(minutes=15), "within": DAY, "review_url": None, "poll_interval": 0.1} | settings
    return Notifier(stage.store, lanes, observer=observer or Mock(spec=Observer), **given)


def mail_lane(channel: Channel) -> Lane:
    return Lane(kind="mail", address=None, channel=channel)


async def contact(
    stage: Stage, person: str, channel: str = "mail", address: str | None = None, **columns: object
) -> Any:
    columns = {"person": person, "channel": channel, "address": address or f"{person}@example.net", **columns}
    marks = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    sql = f"insert into tminus.contacts ({', '.join(columns)}) values ({marks})"
    await stage.db.fetch(sql, *columns.values(), role="api")


async def told(stage: Stage) -> list[tuple[str, str]]:
    rows = await stage.db.fetch(
        "select c.person, o.news from tminus.outbox o join tminus.contacts c on c.id = o.contact_id order by o.id"
    )
    return [(row["person"], row["news"]) for row in rows]


async def letters(stage: Stage) -> list[asyncpg.Record]:
    return await stage.db.fetch("select * from tminus.letters order by made_at, id")


async def record(stage: Stage, kind: str, script: object, who: str = "bob", **detail: object) -> None:
    await stage.db.fetch(
        "select tminus.record($1, $2, $3::uuid, null, null, $4::jsonb)", kind, who, script, json.dumps(detail)
    )


async def end_all(stage: Stage, instance: UUID, state: str, reason: str | None, effect: str, message: str = "") -> None:
    """Claim what waits and end it."""
    await stage.db.fetch(
        "update tminus.site_runs set state = 'running', step = 'connecting', instance_id = $1, started_at = tminus.clock()"
        " where state = 'pending'",
        instance,
    )
    await stage.db.fetch(
        "update tminus.site_runs set state = $1, reason = $2, effect = $3, message = $4, step = null,"
        " finished_at = tminus.clock() where state = 'running'",
        state, reason, effect, message,
    )  # fmt: skip


async def test_those_in_notify_and_the_author_hear_and_nobody_hears_of_what_he_did(stage: Stage) -> None:
    for person in ("alice", "nina", "bob", "rita"):
        await contact(stage, person)
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina", "bob"])
    await authorize(stage.db, script)
    assert sorted(await told(stage)) == [("alice", "authorized"), ("nina", "authorized")]
    await stage.db.value("select tminus.cancel($1)", script, role="alice")
    assert sorted(await told(stage))[1:] == [("bob", "cancelled"), ("nina", "authorized"), ("nina", "cancelled")]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("authorization_requested", "authorization_requested"),
        ("authorization_withdrawn", "authorization_withdrawn"),
        ("authorization_expired", "authorization_expired"),
        ("wave_asked", "wave_waiting"),
        ("halted", "halted"),
        ("run_now", "run_now"),
        ("launch_refused", "launch_refused"),
    ],
)
async def test_an_event_is_told_as_soon_as_it_is_recorded(stage: Stage, event: str, kind: str) -> None:
    await contact(stage, "nina")
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await record(stage, event, script)
    assert await told(stage) == [("nina", kind)]


async def test_a_contact_hears_of_what_it_asked_for(stage: Stage) -> None:
    await contact(stage, "nina", news=["cancelled"])
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await authorize(stage.db, script)
    await stage.db.value("select tminus.cancel($1)", script, role="alice")
    assert await told(stage) == [("nina", "cancelled")]


async def test_five_hundred_failing_sites_are_one_message_while_it_runs_and_one_when_it_is_over(stage: Stage) -> None:
    await contact(stage, "nina", news=["sites_failed", "finished"])
    instance = await stage.instance()
    await stage.launch(instance, *(f"s{number}" for number in range(500)), notify=["nina"])
    await end_all(stage, instance, "failed", "offline", "none", "It is \x1b[31mnot\x1b[0m there.\nBcc: x@example.org")
    for _ in range(2):
        await news.raise_news(stage.store, before=None)
    await stage.db.fetch("select tminus.finish_launches()")
    assert await told(stage) == [("nina", "sites_failed"), ("nina", "finished")]
    async with mail_server() as box:
        it = notifier(stage, mail_lane(box.channel()))
        await it.gather()
        await it.deliver(mail_lane(box.channel()))
        text = box.letters[1].get_content()
    assert "500 failed" in text
    assert "and 490 more" in text
    assert "\x1b" not in text
    assert "\nBcc" not in text


async def test_nobody_is_left_out_however_many_are_told(stage: Stage) -> None:
    people = [f"person-{number}" for number in range(600)]
    await stage.db.fetch(
        "insert into tminus.contacts (person, channel, address) select p, 'mail', p || '-' || n || '@example.net'"
        " from unnest($1::text[]) as p, generate_series(1, 2) as n",
        people,
        role="api",
    )
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=people)
    await authorize(stage.db, script)
    assert len(await told(stage)) == 1200


async def test_a_launch_is_told_before_it_comes_once(stage: Stage) -> None:
    await contact(stage, "nina", news=["about_to_launch"])
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await authorize(stage.db, script)
    before = timedelta(minutes=15)
    assert await news.raise_news(stage.store, before=before) == 0
    await stage.db.move_clock(timedelta(minutes=50))
    assert await news.raise_news(stage.store, before=None) == 0
    assert [await news.raise_news(stage.store, before=before) for _ in range(2)] == [1, 0]


async def test_a_missed_launch_is_told_once_and_a_rehearsal_is_not(stage: Stage) -> None:
    await contact(stage, "nina")
    instance = await stage.instance()
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await stage.db.value("select tminus.rehearse($1)", script, role="alice")
    await end_all(stage, instance, "skipped", "rehearsed", "none")
    await stage.db.fetch("select tminus.finish_launches()")
    assert await told(stage) == []
    await stage.db.move_clock(timedelta(hours=3))
    assert await stage.db.value("select tminus.settle_late(10)") == 1
    assert await told(stage) == [("nina", "missed")]


async def test_the_request_for_an_authorization_states_sites_digest_and_where_to_review(stage: Stage) -> None:
    await contact(stage, "nina")
    await add_sites(stage.db, "a", "b", "c")
    script = await insert(stage.db, notify=["nina"], description="Weekly\r\nBcc: eve@example.org")
    digest = await stage.db.value("select tminus.digest($1)", script)
    await record(stage, "authorization_requested", script, "alice", digest=digest)
    async with mail_server() as box:
        it = notifier(stage, mail_lane(box.channel()), review_url="https://tminus.example.net/review/{id}")
        await it.gather()
        await it.deliver(mail_lane(box.channel()))
    (message,) = box.letters
    text = message.get_content().replace("\r\n", "\n")
    assert "3 sites" in message["Subject"]
    assert message["Bcc"] is None
    assert "sites: 3\n" in text
    assert f"digest: {digest}\n" in text
    assert f"https://tminus.example.net/review/{script}" in text
    assert "Opening a link authorizes nothing." in text


async def queued(stage: Stage, box: MailServer, count: int) -> tuple[Notifier, Lane, Mock]:
    """Letters that wait to be mailed to nina, and who does it."""
    await contact(stage, "nina")
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    for _ in range(count):
        await record(stage, "halted", script)
    lane, observer = mail_lane(box.channel()), Mock(spec=Observer)
    it = notifier(stage, lane, observer=observer)
    await it.gather()
    return it, lane, observer


@pytest.mark.parametrize("trouble", ["451 come back later", "421 closing", None, "away"])
async def test_mail_arrives_once_by_its_id_when_a_server_that_failed_or_stalled_is_back(
    stage: Stage, trouble: str | None
) -> None:
    async with mail_server() as box:
        it, lane, observer = await queued(stage, box, 3)
        if trouble == "away":
            closed = mail_lane(box.channel(port=1))
            await it.deliver(closed)
        else:
            box.answer = trouble
            await it.deliver(lane)
        assert box.letters == []
        assert {row["state"] for row in await letters(stage)} == {"pending"}
        assert all(row["last_error"] for row in await letters(stage))
        assert call("sent", 1) not in observer.letters.mock_calls
        box.answer = "250 OK"
        assert await it.deliver(lane) > 0
        assert box.letters == [], "not before its pause is over"
        await stage.db.move_clock(timedelta(minutes=10))
        await it.deliver(lane)
        await it.deliver(lane)
        expected = sorted(f"<{row['id']}@example.net>" for row in await letters(stage))
        assert sorted(box.ids()) == expected
        assert {row["state"] for row in await letters(stage)} == {"sent"}


async def test_who_dies_with_letters_in_hand_leaves_them_to_another_after_the_lease(stage: Stage) -> None:
    async with mail_server() as box:
        it, lane, _ = await queued(stage, box, 1)
        (mine,) = await news.take(stage.store, "mail", None, limit=10, lease=60)
        await it.deliver(lane)
        assert box.letters == []
        await stage.db.move_clock(timedelta(seconds=61))
        await it.deliver(lane)
        assert box.ids() == [f"<{mine.id}@example.net>"]
        assert not await news.note(stage.store, mine, "pending", pause=1, error="late"), "the lease was over"


async def test_a_letter_that_is_refused_for_good_is_not_tried_again_and_keeps_no_other_waiting(stage: Stage) -> None:
    async with mail_server() as box:
        it, lane, observer = await queued(stage, box, 1)
        box.answer = "550 no such person"
        await it.deliver(lane)
        (row,) = await letters(stage)
        assert (row["state"], row["attempts"]) == ("failed", 1)
        assert "no such person" in row["last_error"]
        assert call("failed", 1) in observer.letters.mock_calls
        assert await stage.db.value("select count(*) from tminus.letters where state = 'failed'", role="rita") == 1


async def test_a_letter_that_meets_a_bug_is_put_off_and_keeps_no_other_waiting(stage: Stage) -> None:
    async with mail_server() as box:
        it, _, _ = await queued(stage, box, 2)
        channel = box.channel()
        slips: list[Exception] = [LookupError("a slip of ours")]

        class Slipping:
            patience = channel.patience

            @asynccontextmanager
            async def open(self) -> AsyncIterator[Send]:
                async with channel.open() as send:

                    async def slip(letter: Letter) -> None:
                        if slips:
                            raise slips.pop()
                        await send(letter)

                    yield slip

        await it.deliver(mail_lane(Slipping()))
        assert len(box.letters) == 1
        errors = {row["state"]: row["last_error"] for row in await letters(stage)}
        assert errors.keys() == {"pending", "sent"}
        assert "a slip of ours" in errors["pending"]


@pytest.mark.parametrize("address", ["=?x?q?=0a@example.net", "=?x?q??=@example.net"])
async def test_a_letter_of_which_no_mail_can_be_made_is_refused_for_good(stage: Stage, address: str) -> None:
    """The rules let none in now; it may have been there before them."""
    async with mail_server() as box:
        it, lane, _ = await queued(stage, box, 1)
        await stage.db.run(f"set session_replication_role = replica; update tminus.contacts set address = '{address}'")
        await it.deliver(lane)
        (row,) = await letters(stage)
        assert row["state"] == "failed"
        assert "no mail can be made" in row["last_error"]
        assert box.letters == []


async def test_no_mail_leaves_for_a_domain_that_is_not_allowed(stage: Stage) -> None:
    async with mail_server() as box:
        await contact(stage, "nina", address="nina@elsewhere.example.org")
        it, lane, _ = await queued(stage, box, 1)
        await it.deliver(lane)
        assert [message["To"] for message in box.letters] == ["nina@example.net"]
        assert sorted(row["state"] for row in await letters(stage)) == ["failed", "sent"]


async def test_what_nobody_delivers_is_given_up_and_counted(stage: Stage) -> None:
    async with mail_server() as box:
        it, lane, observer = await queued(stage, box, 2)
        await stage.db.move_clock(timedelta(hours=25))
        await it.gather()
        assert {row["state"] for row in await letters(stage)} == {"failed"}
        assert call("failed", 2) in observer.letters.mock_calls
        await it.deliver(lane)
        assert box.letters == []


async def test_a_contact_with_a_digest_gets_one_letter_of_all_that_came_meanwhile(stage: Stage) -> None:
    async with mail_server() as box:
        await contact(stage, "nina", digest_every=timedelta(hours=1))
        await add_sites(stage.db, "a")
        scripts = [await insert(stage.db, notify=["nina"], description=f"number {n}") for n in range(3)]
        it, lane = notifier(stage, mail_lane(box.channel())), mail_lane(box.channel())
        for script in scripts:
            await record(stage, "halted", script)
        await it.gather()
        assert await letters(stage) == []
        await stage.db.move_clock(timedelta(minutes=61))
        await it.gather()
        box.answer = "451 later"
        await it.deliver(lane)
        await record(stage, "halted", scripts[0])  # belongs to the next one: what a letter says is fixed
        box.answer = "250 OK"
        await stage.db.move_clock(timedelta(minutes=5))
        await it.gather()
        await it.deliver(lane)
        (message,) = box.letters
        assert message["Subject"] == "[tminus] 3 messages: 3 halted"
        assert all(f"number {n}" in message.get_content() for n in range(3))
        assert await stage.db.value("select count(*) from tminus.outbox where letter_id is null") == 1


async def test_what_a_contact_is_told_is_changed_on_record(stage: Stage) -> None:
    columns = "insert into tminus.contacts (person, channel, address, news) values ('bob', 'mail', 'bob@example.net', null) returning id"
    contact = (await stage.db.fetch(columns, role="api"))[0]["id"]
    await stage.db.fetch("update tminus.contacts set news = '{halted}' where id = $1", contact, role="api")
    await stage.db.fetch(
        "update tminus.contacts set news = '{halted}' where id = $1", contact, role="api"
    )  # nothing new
    await stage.db.fetch("update tminus.contacts set enabled = false where id = $1", contact, role="api")
    events = await stage.events("contact_set")
    assert [
        (e["principal"], json.loads(e["detail"]).get("news"), json.loads(e["detail"])["enabled"]) for e in events
    ] == [
        ("api", None, True),
        ("api", ["halted"], True),
        ("api", ["halted"], False),
    ]
    assert "example.net" not in str([e["detail"] for e in events])


async def test_a_disabled_contact_gets_nothing_more(stage: Stage) -> None:
    async with mail_server() as box:
        it, lane, _ = await queued(stage, box, 1)
        await stage.db.fetch("update tminus.contacts set enabled = false", role="api")
        await it.gather()
        await it.deliver(lane)
        assert box.letters == []
        assert [row["state"] for row in await letters(stage)] == ["dropped"]


async def test_a_webhook_is_signed_tried_again_and_the_same_by_its_id(stage: Stage) -> None:
    await contact(stage, "nina", "webhook", "chat")
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await authorize(stage.db, script)
    async with receiver() as box:
        lane = Lane(kind="webhook", address="chat", channel=box.channel())
        it = notifier(stage, lane)
        await it.gather()
        for status in (500, 302, 401, 0):
            box.status = status
            box.headers = {"Location": f"http://127.0.0.1:{box.port}/elsewhere"} if status == 302 else {}
            await it.deliver(lane)
            assert [row["state"] for row in await letters(stage)] == ["pending"]
            await stage.db.move_clock(timedelta(minutes=31))
        box.status, box.headers = 204, {}
        await it.deliver(lane)
        await it.deliver(lane)
        (row,) = await letters(stage)
    assert (row["state"], row["attempts"]) == ("sent", 5)
    assert "hidden" not in str(row)
    assert len(box.calls) == 5, "a redirection is not followed"
    for headers, body in box.calls:
        assert headers["webhook-id"] == str(row["id"])
        at = int(headers["webhook-timestamp"])
        assert headers["webhook-signature"] == f"v1,{sign(SECRET, str(row['id']), at, body)}"
    document = json.loads(box.calls[-1][1])
    assert (document["data"]["person"], document["data"]["news"][0]["kind"]) == ("nina", "authorized")
    assert document["data"]["news"][0]["script_id"] == str(script)


async def test_a_webhook_that_is_gone_for_good_is_given_up(stage: Stage) -> None:
    await contact(stage, "nina", "webhook", "chat")
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await authorize(stage.db, script)
    async with receiver() as box:
        box.status = 410
        lane = Lane(kind="webhook", address="chat", channel=box.channel())
        it = notifier(stage, lane)
        await it.gather()
        await it.deliver(lane)
    assert [row["state"] for row in await letters(stage)] == ["failed"]


async def test_a_mail_server_that_stalls_keeps_no_webhook_waiting(stage: Stage) -> None:
    await contact(stage, "nina")
    await contact(stage, "nina", "webhook", "chat")
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await authorize(stage.db, script)
    async with mail_server() as mail, receiver() as hook:
        mail.answer = None
        lanes = [mail_lane(mail.channel(patience=60.0)), Lane(kind="webhook", address="chat", channel=hook.channel())]
        task = asyncio.create_task(notifier(stage, *lanes).run())
        try:

            async def both() -> bool:
                return bool(mail.asked and hook.calls)

            await until(both)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_an_endpoint_that_stalls_or_fails_keeps_no_other_waiting(stage: Stage) -> None:
    for address in ("chat", "pager", "wall"):
        await contact(stage, "nina", "webhook", address)
    await add_sites(stage.db, "a")
    script = await insert(stage.db, notify=["nina"])
    await authorize(stage.db, script)
    async with receiver() as stalled, receiver() as failing, receiver() as well:
        stalled.status, failing.status, well.status = 0, 503, 204
        boxes = {"chat": stalled, "pager": failing, "wall": well}
        lanes = [
            Lane(kind="webhook", address=name, channel=box.channel(name=name, patience=60.0))
            for name, box in boxes.items()
        ]
        task = asyncio.create_task(notifier(stage, *lanes).run())
        try:

            async def each_was_asked_and_one_took_it() -> bool:
                states = [row["state"] for row in await letters(stage)]
                return all(box.calls for box in boxes.values()) and sorted(states) == ["pending", "pending", "sent"]

            await until(each_was_asked_and_one_took_it)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    ids = {headers["webhook-id"] for box in boxes.values() for headers, _ in box.calls}
    assert len(ids) == 3, "each endpoint has a letter of its own"


async def test_every_kind_of_news_has_a_letter(stage: Stage) -> None:
    await contact(stage, "nina")
    await add_sites(stage.db, "a")
    script = await insert(stage.db, description="Weekly rule", notify=["nina"])
    for number, kind in enumerate(NewsKind):
        queue = 'select tminus.queue_news($1, false, $2, $3, null, \'bob\', \'{"wave": 2, "reason": "because"}\')'
        await stage.db.fetch(queue, kind, f"test {number}", script)
    asked = await stage.db.value(
        "select substring(pg_get_constraintdef(oid) from 'ARRAY.*') from pg_constraint"
        " where conrelid = 'tminus.contacts'::regclass and pg_get_constraintdef(oid) like '%news%'"
    )
    assert set(re.findall(r"'([a-z_]+)'", asked)) == set(NewsKind), "and each can be asked for"
    async with mail_server() as box:
        lane = mail_lane(box.channel())
        it = notifier(stage, lane)
        await it.gather()
        for _ in range(2):  # ten at a time
            await it.deliver(lane)
        subjects = [letter["Subject"] for letter in box.letters]
        texts = [letter.get_content() for letter in box.letters]
    assert len(set(subjects)) == len(NewsKind)
    assert all(subject.endswith(": Weekly rule") for subject in subjects)
    assert all(str(script) in text and "sites: 1" in text for text in texts)
    assert "Wave 2 waits for a person" in "\n".join(subjects)


async def test_addresses_that_could_write_headers_or_lead_elsewhere_are_refused(stage: Stage) -> None:
    sql = "insert into tminus.contacts (person, channel, address) values ('nina', $1, $2)"
    for channel, address in (
        ("mail", "nina@example.net\nBcc: eve@example.org"),
        ("mail", "nina"),
        ("mail", "<nina@example.net>"),
        ("mail", "=?x?q?=0a@example.net"),
        ("webhook", "http://169.254.169.254/"),
        ("pager", "nina"),
    ):
        await refused(stage.db, "api", sql, channel, address, clear=False)


async def test_only_a_gateway_keeps_contacts_and_nobody_else_reads_addresses(stage: Stage) -> None:
    await contact(stage, "nina")
    for login in ("alice", "bob", "rita", "tminus_serve"):
        await refused(
            stage.db,
            login,
            "insert into tminus.contacts (person, channel, address) values ('a', 'webhook', 'b')",
            clear=False,
        )
        if login != "tminus_serve":
            await refused(stage.db, login, "select address from tminus.contacts", clear=False)
        for sql in ("delete from tminus.outbox", "insert into tminus.letters (contact_id) values (1)"):
            await refused(stage.db, login, sql, clear=False)
    await refused(stage.db, None, "delete from tminus.contacts")


async def test_letters_are_forgotten_when_their_time_is_over(stage: Stage) -> None:
    async with mail_server() as box:
        it, lane, _ = await queued(stage, box, 1)
        await it.deliver(lane)
        assert await news.forget_letters(stage.store, keep=DAY, window=10) == 0
        await stage.db.move_clock(timedelta(days=2))
        assert await news.forget_letters(stage.store, keep=DAY, window=10) == 1
        assert await told(stage) == []


@pytest.mark.parametrize(
    ("channel", "address", "sentence"),
    [
        ("webhook", "https://example.net/", "the name of its [webhooks.NAME]"),
        ("mail", "bob", "no mail address that can be written to"),
    ],
)
async def test_an_address_that_is_none_is_refused_in_a_sentence(
    stage: Stage, channel: str, address: str, sentence: str
) -> None:
    insert = "insert into tminus.contacts (person, channel, address) values ('bob', $1, $2)"
    with pytest.raises(asyncpg.PostgresError) as refused:
        await stage.db.fetch(insert, channel, address, role="api")
    assert sentence in str(refused.value)

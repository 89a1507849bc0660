"""Every statement that changes a row says what it expects of that row: a read that is out of date must not be acted on.

GUARDS lists each UPDATE and DELETE of the statements and functions, with what its WHERE has to hold; a statement that is not
listed, or whose guard is gone, fails here. `held` stands for rows that the same transaction has locked and looked at again.
INSERTS lists who inserts what: there the constraints are the guard.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from importlib.resources import files

import pytest

from tests.store.stage import Stage, start_request
from tminus.store.export_texts import Backup, store_texts
from tminus.store.pool import statement
from tminus.store.starts import StartRequest

OURS = ("r.instance_id is not distinct from $1", "r.state = (select 'running')")
LIVING = "exists (select from tminus.instances i where i.id = $1 and i.state in ('alive', 'draining'))"
A_PERSONS = ("id = $1",)  # a person names it, and may

GUARDS: dict[tuple[str, str, str], list[tuple[str, ...]]] = {
    # The daemon's statements. No row: another has it, or it has ended; what the caller does then, its header says.
    ("start_executing", "update", "site_runs"): [
        (*OURS, "r.executing_at is null", "not r.rehearsal", "exists (select from allowed a", "not tminus.is_frozen(r.site_id)",
         "exists (select from living)",
         "not (select tminus.is_held_back())", "not exists (select from tminus.lost_starts"),
    ],
    ("end_site_runs", "update", "site_runs"): [(*OURS, LIVING)],
    ("note_steps", "update", "site_runs"): [(*OURS, "(r.executing_at is not null) = (n.step = 'verifying')", LIVING)],
    ("release_site_runs", "update", "site_runs"): [(*OURS, "r.executing_at is null", LIVING)],
    ("heartbeat", "update", "instances"): [("i.id = $1", "i.state in ('alive', 'draining')")],
    ("stop_instance", "update", "instances"): [("i.id = $1", "i.state in ('alive', 'draining')")],
    ("move_on_launches", "update", "launches"): [("m.finished_at is null", "skip locked")],
    ("take_debts", "update", "cleanup_debts"): [("d.settled_at is null",)],
    ("settle_debt", "update", "cleanup_debts"): [("d.settled_at is null",)],
    ("note_debt_error", "update", "cleanup_debts"): [("d.settled_at is null",)],
    ("keep_findings", "update", "scheduled_scripts"): [
        ("s.findings is null", "sha256(convert_to(s.script, 'UTF8')) = $2", "s.site_timeout = $3", "s.post_checks = $6::text[]"),
    ],
    ("settle_debts_of", "update", "cleanup_debts"): [("d.settled_at is null",)],
    ("take_busy_sites", "update", "busy_sites"): [("held: for update of b skip locked",)],
    ("hold_busy_site", "update", "busy_sites"): [("b.free_at is null",)],
    ("look_again", "update", "busy_sites"): [("b.free_at is null",)],
    ("free_site", "update", "busy_sites"): [("b.free_at is null",)],
    # What a router told of itself is true whoever heard it, and is no state.
    ("learn_sites", "update", "sites"): [("skip locked",)],
    ("serial_owners", "update", "sites"): [("not exists (select from tminus.sites o where o.serial = t.serial)",)],
    ("pin_site", "update", "sites"): [A_PERSONS],
    # The API's.
    ("edit_scheduled_script", "update", "scheduled_scripts"): [A_PERSONS],
    ("remove_window", "delete", "windows"): [("name = $1",)],
    ("keep_answer", "update", "idempotency_keys"): [("k.status is null",)],
    ("forget_idempotency_keys", "delete", "idempotency_keys"): [("skip locked",)],
    # The functions of the schema.
    ("claim_site_runs", "update", "site_runs"): [("r.state = (select 'pending')",)],
    ("claim_site_runs", "update", "launches"): [("skip locked",)],
    ("claim_orphans", "update", "site_runs"): [("r.state = (select 'running')", "r.instance_id is null")],
    ("abandon", "update", "site_runs"): [("r.state = 'running'",)],
    ("reap", "update", "instances"): [
        ("q.state in ('alive', 'draining')", "q.heartbeat_at + q.ttl < tminus.clock()", "for update skip locked"),
    ],
    ("settle_pending", "update", "site_runs"): [("r.state = 'pending'",)],
    ("end_set_aside", "update", "site_runs"): [("r.state = 'running'", "r.instance_id is null", "tminus.is_set_aside(l.script_id)")],
    ("recall_lost_starts", "update", "site_runs"): [
        ("r.state = 'pending'",), ("r.state = 'running'", "r.executing_at is null"), ("r.state = 'running'", "r.nonce = x.nonce"),
    ],
    ("refuse_spent", "update", "site_runs"): [
        ("u.state = 'running'", "u.executing_at is null"), ("u.state = 'running'", "u.nonce = p_nonce"),
    ],
    ("settle_instance", "update", "instances"): [("i.state in ('alive', 'draining')",)],
    ("cancel", "update", "site_runs"): [("r.state = 'pending'",)],
    ("cancel", "update", "launches"): [("l.state = 'running'",)],
    ("open_wave", "update", "launches"): [("u.state = 'running'", "u.paused_at is null", "u.wave = p_wave - 1")],
    ("ask_wave", "update", "launches"): [("u.state = 'running'", "u.wave = p_wave - 1", "u.asked_wave < p_wave")],
    ("halt", "update", "launches"): [("held: for update",)],
    ("halt", "update", "site_runs"): [("r.state = 'pending'",)],
    ("confirm_wave", "update", "launches"): [("held: tminus.lock_launch_of(",)],
    ("pause_launch", "update", "launches"): [("held: tminus.lock_launch_of(",)],
    ("resume_launch", "update", "launches"): [("held: tminus.lock_launch_of(",)],
    ("cap_tag", "delete", "tag_caps"): [("c.tag = cap_tag.tag",)],
    ("retry", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("resume_launch", "update", "site_runs"): [("r.state = 'pending'",), ("r.state = 'pending'", "r.turn_at is null")],
    ("finish_launches", "update", "launches"): [("u.finished_at is null",)],
    ("finish_launches", "update", "scheduled_scripts"): [("u.finished_at is null",)],
    ("tell_launches", "update", "launches"): [("q.told_at is null", "skip locked")],
    ("plan", "update", "scheduled_scripts"): [("u.launch_at is null", "u.status in ('unauthorized', 'scheduled')")],
    ("plan_window", "update", "windows"): [("w.updated_at = $2",)],
    ("follow_timezone", "update", "scheduled_scripts"): [("u.local_time is not null", "u.status in ('unauthorized', 'scheduled')")],
    ("refuse_launch", "update", "scheduled_scripts"): [("u.status = 'scheduled'",), ("u.status = 'scheduled'",)],
    ("undo_authorization", "update", "scheduled_scripts"): [("u.status = 'scheduled'",)],
    ("seal_events", "delete", "unsealed_events"): [("q.event_id = e.id",)],
    ("resume", "update", "lost_starts"): [("u.accepted_at is null",)],
    ("resume", "update", "lost_acts"): [("u.accepted_at is null",)],
    ("release_holds", "update", "host_holds"): [("h.released_at is null",)],
    ("hasten_cleanup", "update", "cleanup_debts"): [("d.settled_at is null",)],
    ("disclaim_crashes", "update", "crashes"): [("c.instance_id = p_instance", "c.cleared_at is null")],
    ("disclaim_crashes", "update", "set_aside"): [("a.readmitted_at is null",)],
    ("disclaim_crashes", "update", "scheduled_scripts"): [("u.status_reason like 'set aside: %'",)],
    ("clear_crashes", "update", "crashes"): [("c.cleared_at is null",)],
    ("readmit", "update", "set_aside"): [("a.readmitted_at is null",)],
    ("readmit_edited", "update", "set_aside"): [("a.readmitted_at is null",)],
    # Locked, and looked at under the lock, in the same function.
    ("authorize", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("cancel", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("resolve_sites", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("launch", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("readmit", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("settle_late", "update", "scheduled_scripts"): [("held: for update of q skip locked",), ("held: for update of q skip locked",)],
    ("run_now", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("settle_late_run_now", "update", "scheduled_scripts"): [("held: for update skip locked",)],
    ("overtake", "update", "scheduled_scripts"): [("held: tminus.lock_script(",)],
    ("thaw", "update", "freezes"): [("held: for no key update",)],
    ("resolve", "update", "site_runs"): [("held: for no key update",)],
    ("resolve", "update", "busy_sites"): [("b.free_at is null",)],
    ("forgive_cleanup", "update", "cleanup_debts"): [("held: for no key update",)],
    ("note_job_stopped", "update", "cleanup_debts"): [("d.job_stopped_at is null", "d.settled_at is null")],
    ("accept_sites", "update", "sites"): [("held: for no key update of s",)],
    ("note_crashes", "update", "scheduled_scripts"): [("u.id = x.script_id",)],  # a sentence for people, and no state
    ("follow_scheduled_script", "delete", "scheduled_script_sites"): [("held: returns trigger",)],
    # Retention: nothing that is open. The triggers refuse every other change.
    ("forget_outputs", "update", "site_runs"): [("held: skip locked",)],
    ("forget_backups", "delete", "backups"): [("held: skip locked",)],
    ("forget_texts", "delete", "backup_texts"): [
        (
            "not exists (select from tminus.backups b where b.sha256 = t.sha256)",
            "not exists (select from tminus.backup_texts d where d.base = t.sha256)",
        )
    ],
    ("forget_sensitive_texts", "delete", "sensitive_texts"): [
        ("not exists (select from tminus.backups b where b.sensitive_id = t.id)",)
    ],
    ("forget_events", "delete", "events"): [("held: skip locked",)],
    ("forget_letters", "delete", "outbox"): [("held: skip locked",)],
    ("forget_letters", "delete", "letters"): [("held: skip locked",)],
    ("disable_contact", "update", "contacts"): [("c.enabled",)],
    # Letters to people. Who has one holds it by its number of attempts.
    ("take_letters", "update", "letters"): [("l.state = 'pending'", "skip locked")],
    ("note_letter", "update", "letters"): [("l.attempts = $2", "l.state = 'pending'")],
    ("gather_letters", "update", "outbox"): [("u.letter_id is null",)],
    ("gather_letters", "update", "letters"): [("l.state = 'pending'",), ("l.state = 'pending'",)],
}  # fmt: skip
INSERTS = {
    "register_instance": {"instances"},
    "owe_cleanup": {"cleanup_debts"},
    "hold_sites": {"busy_sites"},
    "end_set_aside": {"busy_sites", "cleanup_debts"},
    "submit": {"scheduled_scripts"},
    "create_scheduled_script": {"scheduled_scripts"},
    "claim_idempotency_key": {"idempotency_keys"},
    "import_sites": {"sites"},
    "record": {"events"},
    "record_ending": {"events"},
    "accept_sites": {"events"},
    "follow_scheduled_script": {"scheduled_script_sites"},
    "authorize": {"authorizations"},
    "queue_for_seal": {"unsealed_events"},
    "seal_events": {"audit_seals"},
    "rehearse": {"launches", "site_runs"},
    "run_now": {"authorizations"},
    "request_test": {"authorizations", "launches", "site_runs"},
    "freeze": {"freezes"},
    "launch": {"launches", "site_runs"},
    "retry": {"authorizations", "launches", "site_runs"},
    "record_signed_act": {"authorizations"},
    "cap_tag": {"tag_caps"},
    "insert_missed_launch": {"launches", "site_runs"},
    "abandon": {"cleanup_debts"},
    "reap": {"events"},
    "keep_late_evidence": {"events"},
    "store_text": {"backup_texts"},
    "store_likenesses": {"backup_texts"},
    "store_sensitive_text": {"sensitive_texts"},
    "store_backups": {"backups"},
    "note_lost_starts": {"lost_starts", "events"},
    "note_lost_acts": {"lost_acts", "events"},
    "resume": {"resumptions"},
    "say_held": {"host_holds"},
    "owe_unstarted_file": {"cleanup_debts"},
    "owe_stopped_job": {"cleanup_debts"},
    "note_job_stopped": {"events"},
    "recall_lost_starts": {"events"},
    "refuse_spent": {"events"},
    "note_crashes": {"crashes", "set_aside"},
    "set_window": {"windows"},
    "queue_news": {"outbox"},
    "set_contact": {"contacts"},
    "gather_letters": {"letters"},
}

_WRITE = re.compile(r"\b(update|delete from|insert into)\s+tminus\.(\w+)")
_FUNCTION = re.compile(r"create (or replace )?function tminus\.(\w+)(.*?\bas\s+\$\$.*?\$\$)", re.DOTALL)


def sources() -> Iterator[tuple[str, str]]:
    """Each statement file and each function of the migrations, as the latest of them has it, with its text, without comments."""
    folder = files("tminus.store").joinpath("sql")
    for entry in folder.iterdir():
        if entry.name.endswith(".sql"):
            yield entry.name.removesuffix(".sql"), bare(entry.read_text(encoding="utf-8"))
    functions: dict[str, list[str]] = defaultdict(list)
    for entry in sorted(folder.joinpath("migrations").iterdir(), key=lambda entry: entry.name):
        for replaces, name, text in _FUNCTION.findall(bare(entry.read_text(encoding="utf-8"))):
            if replaces:
                functions[name].clear()
            functions[name].append(text)
    yield from ((name, text) for name, texts in functions.items() for text in texts)


def bare(text: str) -> str:
    return " ".join(re.sub(r"--[^\n]*", "", text).split())


def writes(text: str) -> Iterator[tuple[str, str, str]]:
    """(verb, table, the statement), up to the semicolon or bracket that ends it."""
    for found in _WRITE.finditer(text):
        depth, quoted, end = 0, False, len(text)
        for at in range(found.start(), len(text)):
            sign = text[at]
            if sign == "'":
                quoted = not quoted
            elif not quoted:
                depth += (sign == "(") - (sign == ")")
                if depth < 0 or (sign == ";" and depth == 0):
                    end = at
                    break
        yield found[1].split()[0], found[2], text[found.start() : end]


def test_every_update_and_delete_is_guarded_as_the_table_says() -> None:
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for name, text in sources():
        for verb, table, written in writes(text):
            if verb != "insert":
                found[name, verb, table].append((written, text))
    assert set(found) == set(GUARDS)
    for key, statements in found.items():
        assert len(statements) == len(GUARDS[key]), key
        for (written, text), guards in zip(statements, GUARDS[key], strict=True):
            _, _, condition = written.partition(" where ")
            for guard in guards:
                if guard.startswith("held: "):
                    assert guard.removeprefix("held: ") in text, (key, guard)
                else:
                    assert guard in condition or (guard == "skip locked" and guard in written), (key, guard)


def test_every_insert_is_on_the_list() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for name, text in sources():
        for verb, table, _ in writes(text):
            if verb == "insert":
                found[name].add(table)
    assert found == INSERTS


def test_what_no_row_means_is_said_where_a_row_is_returned() -> None:
    folder = files("tminus.store").joinpath("sql")
    for entry in folder.iterdir():
        text = entry.read_text(encoding="utf-8") if entry.name.endswith(".sql") else ""
        if re.search(r"\bupdate tminus\.site_runs\b|\bupdate tminus\.instances\b", text) and "returning" in text:
            assert re.search(r"No row|that is missing", text), entry.name


@pytest.mark.asyncio(loop_scope="module")
async def test_an_instance_that_was_declared_dead_replaces_no_export_of_its_successor(stage: Stage) -> None:
    dead, successor = await stage.instance(name="dead", ttl=60), await stage.instance(name="successor", ttl=6000)
    await stage.launch(successor, "a")
    run = (await stage.look(dead))["a"].id
    await stage.db.fetch(
        "update tminus.instances set heartbeat_at = heartbeat_at - interval '1 hour' where id = $1", dead
    )
    await stage.store.call("select tminus.reap()")
    assert (await stage.claim(successor))["a"].id == run

    def export(text: str) -> Backup:
        return Backup(phase="before", sha256=text.encode().ljust(32, b"."), text=text, header="h", raw_bytes=1)

    async def start(instance: object, text: str) -> list[int]:
        request: StartRequest = start_request(run, stored=export(text))
        backup = request.backup
        assert backup is not None
        async with stage.store.transaction("start") as connection:
            stored = await store_texts(connection, [(run, backup)])
            rows = await connection.fetch(
                statement("start_executing"),
                instance, [run], [request.nonce], [1.0], *stored,
            )  # fmt: skip
        return [row["id"] for row in rows]

    assert await start(successor, "of the successor") == [run]
    assert await start(dead, "of the dead") == []
    texts = await stage.db.fetch("select t.text from tminus.backups b join tminus.backup_texts t using (sha256)")
    assert [row["text"] for row in texts] == ["of the successor"]

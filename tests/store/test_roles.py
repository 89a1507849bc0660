"""Who may do what: the whole list of privileges, and attempts to get round the guards."""

from __future__ import annotations

import itertools
from datetime import timedelta

import asyncpg
import pytest

from tests.store.stage import TABLES, Stage, WarmDb, add_sites, authorize, insert, insert_sql

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROLES = ("tminus_author", "tminus_approver", "tminus_reader", "tminus_gateway", "tminus_daemon")
EVERYONE = frozenset(ROLES)
WRITERS = frozenset({"tminus_author", "tminus_gateway"})
PRIVILEGES = ("insert", "update", "delete", "truncate", "references", "trigger")

# The whole of what may be written: (table, privilege) -> (role, columns; None is the whole table).
MAY_WRITE: dict[tuple[str, str], dict[str, set[str] | None]] = {
    ("scheduled_scripts", "insert"): dict.fromkeys(WRITERS),
    ("scheduled_scripts", "update"): {**dict.fromkeys(WRITERS), "tminus_daemon": {"findings", "summary", "summary_generated"}},
    ("sites", "insert"): {
        "tminus_gateway": {"id", "name", "address", "port", "username", "credential", "host_key", "ssh_profile", "jump_host",
                           "runner", "tags", "timezone", "variables", "enabled", "sensitive_export",
                           "return_address"},
    },
    ("sites", "update"): {
        "tminus_gateway": {"name", "address", "port", "username", "credential", "host_key", "ssh_profile", "jump_host",
                           "runner", "tags", "timezone", "variables", "enabled", "sensitive_export",
                           "return_address"},
        "tminus_daemon": {"identity", "model", "serial", "version", "seen_host_key", "last_seen_at"},
    },
    ("instances", "insert"): {"tminus_daemon": {"id", "name", "host", "pid", "version", "max_sessions", "ttl", "runner_tags", "credentials",
                                                 "jump_hosts", "memory", "requires_signature", "test_sites"}},
    ("instances", "update"): {"tminus_daemon": {"heartbeat_at", "state", "ended_at"}},
    ("launches", "update"): {"tminus_daemon": {"start_until"}},
    ("site_runs", "update"): {
        "tminus_daemon": {"state", "step", "reason", "effect", "message", "output", "warnings", "diff", "evidence", "instance_id",
                          "not_before", "retry_reason", "attempts", "nonce", "uptime_before",
                          "executing_at", "finished_at"},
    },
    ("backups", "insert"): {"tminus_daemon": None},
    ("backups", "update"): {"tminus_daemon": {"sha256", "header", "raw_bytes", "taken_at", "sensitive_id"}},
    ("sensitive_texts", "insert"): {"tminus_daemon": {"sha256", "text"}},
    # As those of the other texts, to lock them.
    ("sensitive_texts", "update"): {"tminus_daemon": {"sha256"}},
    ("backup_texts", "insert"): {"tminus_daemon": None},
    # To lock them (`for key share`): a trigger refuses every update.
    ("backup_texts", "update"): {"tminus_daemon": {"sha256"}},
    ("cleanup_debts", "insert"): {"tminus_daemon": {"site_id", "site_run_id", "file_name", "next_try_at"}},
    ("cleanup_debts", "update"): {"tminus_daemon": {"attempts", "next_try_at", "last_error", "settled_at"}},
    ("busy_sites", "insert"): {"tminus_daemon": {"site_run_id", "site_id", "look_at", "seen"}},
    ("busy_sites", "update"): {"tminus_daemon": {"look_at", "attempts", "seen", "free_at", "free_because"}},
    ("idempotency_keys", "insert"): {"tminus_gateway": None},
    ("idempotency_keys", "update"): {"tminus_gateway": {"status", "location", "answer"}},
    ("idempotency_keys", "delete"): {"tminus_gateway": None},
    ("contacts", "insert"): {"tminus_gateway": {"person", "channel", "address", "news", "digest_every", "enabled"}},
    ("contacts", "update"): {"tminus_gateway": {"news", "digest_every", "enabled"}},
    ("letters", "update"): {"tminus_daemon": {"state", "attempts", "next_try_at", "last_error", "ended_at"}},
    ("windows", "insert"): {"tminus_gateway": {"name", "timezone", "weekly", "spans", "scope", "tag"}},
    ("windows", "update"): {"tminus_gateway": {"name", "timezone", "weekly", "spans", "scope", "tag"},
                            "tminus_daemon": {"opens_at", "closes_at", "planned_at"}},
    ("windows", "delete"): {"tminus_gateway": None},
}  # fmt: skip

READING = (
    "api_time",
    "backup_text",
    "sensitive_backup_text",
    "export_text",
    "can_serve",
    "check_cron",
    "cron_values",
    "plain_site_query",
    "matching_sites",
    "check_variables",
    "variable_names",
    "variables_field",
    "variables_of",
    "version_rank",
    "plain_version_range",
    "is_version_in",
    "clock",
    "combine_digests",
    "digest",
    "content_of",
    "digest_field",
    "event_hash",
    "review",
    "statement",
    "statement_text",
    "incarnation",
    "is_cron_field",
    "is_own_function",
    "is_paused",
    "is_runner_of",
    "is_timezone",
    "microseconds",
    "netstring",
    "plain_cron",
    "plain_duration",
    "principal",
    "acting",
    "printable",
    "row_digest",
    "scheduled_script",
    "sha256_hex",
    "site_digest",
    "site_digests",
    "t_minus",
    "why_unserved",
    "missed_for_rehearsal",
    "why_frozen",
    "why_closed",
    "closed_now",
    "check_windows",
    "canonical_address",
    "check_post_checks",
    "code",
    "last_test",
    "is_tested",
    "is_weekly_rule",
    "is_open",
    "is_any_open",
    "name_windows",
    "netstrings",
    "local_instant",
    "first_local_instant",
    "is_frozen",
    "is_alive",
    "is_served",
    "is_amount",
    "check_rollout",
    "latest_runs",
    "tag_use",
    "why_capped",
    "sites_to_retry",
    "authorized_digests",
    "retry_statement",
    "launch_statement",
    "resume_statement",
    "resume_digest",
    "held_starts",
    "run_now_statement",
    "test_statement",
    "as_tested",
)
MAY_CALL: dict[str, frozenset[str]] = {
    **dict.fromkeys(READING, EVERYONE),
    "authorize": frozenset({"tminus_author", "tminus_approver", "tminus_gateway"}),
    "cancel": frozenset({"tminus_author", "tminus_approver", "tminus_gateway"}),
    "rehearse": frozenset({"tminus_author", "tminus_approver", "tminus_gateway"}),
    **dict.fromkeys(
        ("accept_sites", "launch_for_api", "site_run_for_api", "site_for_api", "cells"),
        frozenset({"tminus_gateway"}),
    ),
    # Each refuses whom it must with a sentence.
    **dict.fromkeys(
        (
            "request_authorization",
            "withdraw",
            "resolve",
            "resolve_sites",
            "hasten_cleanup",
            "forgive_cleanup",
            "resume",
            "readmit",
            "confirm_wave",
            "pause_launch",
            "resume_launch",
            "retry",
            "run_now",
            "request_test",
            "cap_tag",
            "freeze",
            "thaw",
        ),
        frozenset({"tminus_author", "tminus_approver", "tminus_gateway"}),
    ),
    **dict.fromkeys(
        (
            "due_scripts",
            "launch",
            "settle_late",
            "expire_authorizations",
            "seal_events",
            "refuse_launch",
            "plan",
            "overtake",
            "is_spent",
            "signed_run_now",
            "claim_site_runs",
            "settle_pending",
            "finish_launches",
            "tell_launches",
            "reap",
            "store_backups",
            "sweep",
            "claim_orphans",
            "keep_late_evidence",
            "note_job_stopped",
            "record_site_event",
            "knows_start",
            "is_unsettled",
            "is_held_back",
            "note_lost_starts",
            "note_lost_acts",
            "recall_lost_starts",
            "say_held",
            "release_holds",
            "settle_instance",
            "refuse_spent",
            "disclaim_crashes",
            "forget_outputs",
            "forget_backups",
            "forget_texts",
            "forget_sensitive_texts",
            "forget_events",
            "open_wave",
            "ask_wave",
            "halt",
            "raise_news",
            "gather_letters",
            "forget_letters",
        ),
        frozenset({"tminus_daemon"}),
    ),
}


async def test_what_may_be_written_is_on_the_list_and_nothing_else(shared: WarmDb) -> None:
    tables = [row["relname"] for row in await shared.fetch(
        "select relname from pg_class where relnamespace = 'tminus'::regnamespace and relkind in ('r', 'p', 'v', 'm')"
    )]  # fmt: skip
    assert set(TABLES) <= set(tables)
    for table, privilege, role in itertools.product(tables, PRIVILEGES, ROLES):
        allowed = MAY_WRITE.get((table, privilege), {})
        whole = await shared.value("select has_table_privilege($1, 'tminus.' || $2::text, $3)", role, table, privilege)
        assert whole == (role in allowed and allowed[role] is None), (table, privilege, role)
        if whole or privilege not in ("insert", "update", "references"):
            continue
        columns = await shared.fetch(
            "select attname::text from pg_attribute where attrelid = ('tminus.' || $2::text)::regclass and attnum > 0"
            " and has_column_privilege($1, attrelid, attname, $3)",
            role, table, privilege,
        )  # fmt: skip
        assert {row["attname"] for row in columns} == (allowed.get(role) or set()), (table, privilege, role)


async def test_everyone_with_a_role_reads_and_nobody_else(shared: WarmDb) -> None:
    for row in await shared.fetch(
        "select relname, relacl::text as acl from pg_class where relnamespace = 'tminus'::regnamespace and relkind = 'r'"
    ):
        # What the API answered to one person is nobody else's, and addresses of people are for those who keep them and who
        # write to them.
        readers = {
            "idempotency_keys": frozenset({"tminus_gateway"}),
            "contacts": frozenset({"tminus_gateway", "tminus_daemon"}),
            "sensitive_texts": frozenset(),
            "duties": frozenset(),
        }.get(row["relname"], EVERYONE)
        granted = row["acl"] or ""  # nothing was ever granted
        reading = {role for role in ROLES if f"{role}=r" in granted or f"{role}=ar" in granted}
        assert reading == readers, row
        assert "{=" not in granted, row
        assert ",=" not in granted, row
    public = (
        "select has_schema_privilege('public', 'tminus', 'usage'), has_schema_privilege('public', 'tminus', 'create')"
    )
    assert list((await shared.fetch(public))[0]) == [False, False]
    for role in ROLES:
        assert not await shared.value("select has_schema_privilege($1, 'tminus', 'create')", role)


async def test_what_may_be_called_is_on_the_list_and_nothing_else(shared: WarmDb) -> None:
    functions = await shared.fetch(
        "select oid::regprocedure::text as name, proname::text, prorettype = 'trigger'::regtype as is_trigger, oid,"
        " exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0) as is_public"
        " from pg_proc where pronamespace = 'tminus'::regnamespace"
    )
    assert set(MAY_CALL) <= {function["proname"] for function in functions}
    for function in functions:
        assert not function["is_public"], f"everyone may execute {function['name']}"
        for role in ROLES:
            may = await shared.value("select has_function_privilege($1, $2::oid, 'execute')", role, function["oid"])
            assert may == (role in MAY_CALL.get(function["proname"], ())), (function["name"], role)


async def test_a_function_that_a_later_migration_adds_is_executable_by_nobody(own_stage: Stage) -> None:
    await own_stage.db.run(
        "set role tminus_owner; create function tminus.later() returns int language sql as 'select 1'"
    )
    for role in ROLES:
        assert not await own_stage.db.value("select has_function_privilege($1, 'tminus.later()', 'execute')", role)


async def test_every_function_pins_its_search_path_or_names_all_that_it_uses(shared: WarmDb) -> None:
    unpinned = await shared.fetch(
        "select proname::text, prosecdef, prosrc from pg_proc where pronamespace = 'tminus'::regnamespace"
        " and prosqlbody is null and not coalesce(proconfig, '{}') @> array['search_path=pg_catalog, pg_temp']"
    )
    # A body that was parsed at creation (prosqlbody) is bound to its operators. The clock is inlined into index
    # conditions, so it may have no settings. (Its body here is that of the tests.)
    assert [(row["proname"], row["prosecdef"]) for row in unpinned] == [("clock", False)]


async def test_every_object_belongs_to_the_owner_whom_nobody_is(shared: WarmDb) -> None:
    foreign = await shared.fetch(
        "select relname::text from pg_class where relnamespace = 'tminus'::regnamespace and relowner <> 'tminus_owner'::regrole"
        " union all select proname::text from pg_proc where pronamespace = 'tminus'::regnamespace"
        " and proowner <> 'tminus_owner'::regrole"
    )
    assert foreign == []
    owner = (
        await shared.fetch("select rolcanlogin, rolsuper, rolcreaterole from pg_roles where rolname = 'tminus_owner'")
    )[0]
    assert list(owner) == [False, False, False]
    for login in ("alice", "bob", "api", "rita", "tminus_serve"):
        assert not await shared.value("select pg_has_role($1, 'tminus_owner', 'member')", login)


EVIL = """
create schema evil authorization alice;
set session authorization alice;
create function evil.yes(text, text) returns boolean language sql immutable as 'select true';
create function evil.no(text, text) returns boolean language sql immutable as 'select false';
create operator evil.= (leftarg = text, rightarg = text, procedure = evil.yes);
create operator evil.<> (leftarg = text, rightarg = text, procedure = evil.no);
create operator evil.!~ (leftarg = text, rightarg = text, procedure = evil.no);
create function evil.pg_has_role(name, text, text) returns boolean language sql as 'select true';
create function evil.session_user() returns text language sql as 'select ''bob''';
create function evil.to_jsonb(anyelement) returns jsonb language sql as 'select ''{}''::jsonb';
create function evil.octet_length(text) returns integer language sql as 'select 1';
create table evil.scheduled_scripts (id uuid);
"""


async def test_operators_and_functions_of_the_caller_subvert_no_guard(own_stage: Stage) -> None:
    await add_sites(own_stage.db, "a")
    mine = await insert(own_stage.db)
    foreign = await insert(own_stage.db, "arthur")
    await own_stage.db.run(EVIL)
    async with own_stage.db.anew("alice") as alice:
        await alice.execute("set search_path = evil, pg_temp, pg_catalog, tminus")
        await alice.execute("create temp table sites (id text); insert into sites values ('ghost')")
        await alice.execute("create temp table policy as select true as one, 'off'::text as approval")
        for sql, sentence in (
            (
                f"update tminus.scheduled_scripts set status = 'scheduled' where id = '{mine}'",
                "not the client's to set",
            ),
            (
                f"update tminus.scheduled_scripts set script = 'x' where id operator(pg_catalog.=) '{foreign}'",
                "belongs to arthur",
            ),
            (f"select tminus.authorize('{mine}', tminus.digest('{mine}'))", "alice is not an approver"),
            (f"select tminus.authorize('{mine}', tminus.digest('{mine}'), 'bob')", "may not act for bob"),
            (f"select tminus.cancel('{foreign}')", "belongs to arthur"),
            (insert_sql({"sites": 0}).replace("$1", "array['ghost']"), "unknown site: ghost"),
            (insert_sql({"script": 0}).replace("$1", "repeat('x', 2000000)"), "1 MiB"),
        ):
            with pytest.raises(asyncpg.PostgresError, match=sentence):
                await alice.execute(sql)


async def test_a_definer_function_of_the_caller_is_not_mistaken_for_ours(own_stage: Stage) -> None:
    await add_sites(own_stage.db, "a")
    script = await insert(own_stage.db)
    await own_stage.db.run(
        "create schema evil authorization alice; set session authorization alice;"
        "create function evil.go(id uuid) returns void language sql security definer as"
        " 'update tminus.scheduled_scripts set status = ''scheduled'', authorized_by = ''bob'' where id = $1'"
    )
    for role in ("alice", "api"):
        async with own_stage.db.anew("alice") as connection:
            with pytest.raises(asyncpg.PostgresError, match="not the client's to set"):
                await connection.execute(f"select evil.go('{script}') -- {role}")


async def test_nobody_becomes_the_owner_or_another_login(stage: Stage) -> None:
    for login in ("alice", "bob", "api", "rita", "tminus_serve"):
        async with stage.db.anew(login) as connection:
            for sql in (
                "set role tminus_owner",
                "set session authorization bob; select 1",
                "set session_replication_role = replica",
            ):
                if "authorization bob" in sql and login == "bob":
                    continue
                with pytest.raises(asyncpg.PostgresError, match="permission denied"):
                    await connection.execute(sql)


async def test_triggers_are_not_the_clients_to_switch_off(stage: Stage) -> None:
    for login in ("alice", "api", "tminus_serve"):
        async with stage.db.anew(login) as connection:
            for table in ("scheduled_scripts", "site_runs", "events"):
                with pytest.raises(asyncpg.PostgresError, match="must be owner"):
                    await connection.execute(f"alter table tminus.{table} disable trigger all")


async def test_the_daemon_neither_makes_work_nor_forges_the_trail(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    instance = await stage.instance()
    for sql in (
        f"insert into tminus.launches select gen_random_uuid(), '{script}'",
        "insert into tminus.site_runs (launch_id, site_id, position) values (gen_random_uuid(), 'a', 1)",
        "insert into tminus.events (kind, principal) values ('authorized', 'bob')",
        "insert into tminus.authorizations (script_id) values (null)",
        f"update tminus.scheduled_scripts set status = 'scheduled' where id = '{script}'",
        "delete from tminus.instances",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await stage.db.fetch(sql, role="tminus_serve")
    assert await stage.db.value("select tminus.launch($1, $2)", script, instance, role="tminus_serve") is None
    await stage.db.move_clock(timedelta(hours=1, seconds=1))
    assert await stage.db.value("select tminus.launch($1, $2)", script, instance, role="tminus_serve") is None
    assert await stage.db.value("select count(*) from tminus.launches") == 0


async def test_authors_and_approvers_do_not_do_the_daemons_work(stage: Stage) -> None:
    await add_sites(stage.db, "a")
    script = await insert(stage.db)
    await authorize(stage.db, script)
    instance = await stage.instance()
    for login in ("alice", "bob", "api", "rita"):
        for sql in (
            f"select tminus.launch('{script}', '{instance}')",
            f"select tminus.claim_site_runs('{instance}', 10)",
            f"select tminus.plan('{script}', now())",
            "select tminus.settle_late(1)",
            "select tminus.record('authorized', 'bob', null)",
            "update tminus.site_runs set state = 'completed'",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await stage.db.fetch(sql, role=login)

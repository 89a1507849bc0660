-- Who may do what. Everything that is not granted here is refused.

revoke all on schema tminus from public;
revoke all on all tables in schema tminus from public;

grant usage on schema tminus to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

-- Reading, for everyone who has a role. (The triggers of a plain INSERT run as the inserter and need the helpers.)
grant select on tminus.sites, tminus.timezones, tminus.scheduled_scripts, tminus.scheduled_script_sites, tminus.authorizations, tminus.launches, tminus.site_runs,
    tminus.backups, tminus.backup_texts, tminus.events, tminus.instances, tminus.policy, tminus.cleanup_debts, tminus.lost_starts, tminus.lost_acts,
    tminus.launch_counts,
    tminus.schema_migrations
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.clock(), tminus.principal(text), tminus.acting(), tminus.is_own_function(), tminus.is_paused(), tminus.incarnation(), tminus.printable(text), tminus.api_time(timestamptz), tminus.t_minus(timestamptz),
    tminus.microseconds(interval), tminus.plain_duration(interval), tminus.is_timezone(text), tminus.plain_cron(text),
    tminus.is_cron_field(text, integer, integer, text[]), tminus.cron_values(text, integer, integer, text[]), tminus.check_cron(text), tminus.version_rank(text), tminus.plain_version_range(text, text), tminus.is_version_in(text, text),
    tminus.netstring(text), tminus.netstrings(text[]), tminus.digest_field(text, text),
    tminus.sha256_hex(text), tminus.row_digest(tminus.scheduled_scripts), tminus.site_digest(tminus.sites), tminus.site_digest(tminus.sites, text), tminus.site_digests(text[], text, jsonb),
    tminus.check_variables(jsonb, text), tminus.code(text, text[]), tminus.variable_names(text), tminus.variables_field(text[], jsonb, jsonb), tminus.variables_of(uuid, text),
    tminus.combine_digests(text, text[], text[]), tminus.digest(uuid), tminus.scheduled_script(uuid), tminus.backup_text(bigint), tminus.export_text(bytea),
    tminus.is_runner_of(tminus.instances, tminus.sites), tminus.can_serve(tminus.instances, tminus.sites),
    tminus.is_alive(tminus.instances), tminus.is_served(text), tminus.why_unserved(tminus.sites)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

-- Authors and gateways. The guard lets them set what is a client's, and answers an attempt on any other column with a
-- sentence; a missing grant would only say 'permission denied'.
grant insert, update on tminus.scheduled_scripts to tminus_author, tminus_gateway;
grant execute on function tminus.cancel(uuid, text), tminus.rehearse(uuid, text) to tminus_author, tminus_approver, tminus_gateway;
-- An author is refused by a sentence, not by a missing grant.
grant execute on function tminus.authorize(uuid, text, text, text, timestamptz, text) to tminus_author, tminus_approver, tminus_gateway;
grant execute on function tminus.resolve(bigint, text, text, text, boolean), tminus.hasten_cleanup(text[], text), tminus.forgive_cleanup(bigint, text, text),
    tminus.resume(text, text, integer, text, timestamptz, text) to tminus_author, tminus_approver, tminus_gateway;

-- The inventory.
grant insert (id, name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags, timezone, variables, enabled, sensitive_export, return_address),
    update (name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags, timezone, variables, enabled, sensitive_export, return_address)
    on tminus.sites to tminus_gateway;
grant execute on function tminus.accept_sites(jsonb) to tminus_gateway;

-- The daemon.
grant insert (id, name, host, pid, version, max_sessions, ttl, runner_tags, credentials, jump_hosts, memory, requires_signature, test_sites), update (heartbeat_at, state, ended_at) on tminus.instances to tminus_daemon;
grant update (state, step, reason, effect, message, output, warnings, diff, evidence, instance_id, not_before, retry_reason, attempts, nonce, uptime_before,
    executing_at, finished_at) on tminus.site_runs to tminus_daemon;
grant update (start_until) on tminus.launches to tminus_daemon;
-- The guard lets it write these together, and only where they are no edit.
grant update (findings, summary, summary_generated) on tminus.scheduled_scripts to tminus_daemon;
grant update (identity, model, serial, version, seen_host_key, last_seen_at) on tminus.sites to tminus_daemon;
grant insert on tminus.backups, tminus.backup_texts to tminus_daemon;
grant update (sha256, header, raw_bytes, taken_at, sensitive_id) on tminus.backups to tminus_daemon;
-- To hold a text that is there while a backup of it is written; a trigger refuses every change.
grant update (sha256) on tminus.backup_texts to tminus_daemon;
grant insert (site_id, site_run_id, file_name, next_try_at), update (attempts, next_try_at, last_error, settled_at) on tminus.cleanup_debts to tminus_daemon;
grant execute on function tminus.store_backups(bigint[], text[], bytea[], text[], integer[], bigint[]), tminus.due_scripts(integer), tminus.signed_run_now(tminus.scheduled_scripts), tminus.launch(uuid, uuid, timestamptz), tminus.settle_late(integer),
    tminus.refuse_launch(uuid, text, bigint), tminus.plan(uuid, timestamptz, text), tminus.overtake(uuid, timestamptz), tminus.is_spent(tminus.scheduled_scripts), tminus.claim_site_runs(uuid, integer, text[], integer[]), tminus.settle_pending(),
    tminus.finish_launches(), tminus.tell_launches(integer), tminus.reap(), tminus.sweep(uuid, bigint[]), tminus.claim_orphans(uuid, integer), tminus.keep_late_evidence(bigint, uuid, jsonb), tminus.note_job_stopped(bigint, uuid, integer),
    tminus.record_site_event(text, uuid, text, jsonb), tminus.is_unsettled(), tminus.is_held_back()
    to tminus_daemon;

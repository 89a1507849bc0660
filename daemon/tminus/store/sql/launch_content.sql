-- The content of launch $1, as launched, and what was authorized of it. Always one row for an id that a claim returned; what is
-- behind `kind` is null where nobody authorized it (a rehearsal).
select l.id, l.script_id, l.script, l.make_backup, l.abort_if_offline, l.start_within, l.site_timeout, l.expects_disconnect, l.detached,
    l.wave_sizes, l.wave_order, l.wave_pause, l.wave_confirm, l.confirm_within, l.max_failures, l.max_failures_in_wave, l.max_offline,
    l.guard_version, l.guard_free_space, l.guard_uptime, l.guard_cpu_load, l.variables,
    l.windows, l.local_time, l.stop_starting_at, l.missed_policy, l.until, l.max_launches, l.post_checks,
    l.max_concurrency, l.test_site_id, l.launch_at, l.cron, l.timezone, l.due_at, l.run_now_by, l.digest as launch_digest, l.kind,
    a.digest, a.row_digest, a.site_ids, a.site_digests, a.author, a.editor, a.approver, a.expires_at, a.signature
from tminus.launches l
left join tminus.authorizations a on a.id = l.authorization_id
where l.id = $1

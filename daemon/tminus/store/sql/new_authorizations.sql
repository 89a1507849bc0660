-- Scheduled scripts that were authorized after authorization $1, as they are now, the oldest authorization first. $2: how many.
-- No row: nothing was authorized since.
select
    s.id, s.script, s.sites, s.make_backup, s.abort_if_offline, s.test_site_id, s.launch_at, s.cron, s.timezone, s.start_within,
    s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached,
    s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
    s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load,
    s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches, s.post_checks,
    s.description, s.created_by, s.authorized_by, s.run_now_at, s.run_now_by, tminus.clock() as now,
    a.id as authorization_id, a.digest, a.row_digest, a.site_ids, a.site_digests, a.author, a.editor, a.approver, a.expires_at, a.signature
from tminus.authorizations a
join tminus.scheduled_scripts s on s.authorization_id = a.id
where a.id > $1 and s.status = 'scheduled'
order by a.id
limit $2

-- What would be authorized of scheduled script $1: one snapshot, so that the digest is that of what is shown. `review` is the object
-- of tminus.review; the columns are what its digest covers, in their own types. No row: there is none.
select
    s.id, s.description, s.script, s.status, s.launch_at, tminus.t_minus(s.launch_at) as t_minus, s.cron, s.timezone, s.test_site_id,
    s.make_backup, s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached,
    s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
    s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.site_query,
    s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches, s.post_checks, s.created_by,
    s.updated_by, s.summary, s.findings, tminus.review(s.id) as review
from tminus.scheduled_scripts s
where s.id = $1

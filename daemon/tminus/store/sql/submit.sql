-- Insert a scheduled script. $10 is a moment, $11 a time from now by the database's clock; both are null with cron $12 or local
-- time $26.
-- No row: $1 exists already; see compare_submitted.
insert into tminus.scheduled_scripts (id, created_by, description, script, sites, test_site_id, make_backup, abort_if_offline, notify,
    launch_at, cron, timezone, start_within, site_timeout, max_concurrency, expects_disconnect, detached,
    guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, site_query,
    windows, local_time, stop_starting_at, missed_policy, until, max_launches,
    wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline, summary, post_checks)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::timestamptz, tminus.clock() + $11::interval), $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29, $30,
    $31, $32, $33, $34, $35, $36, $37, $38, $39, $40)
on conflict (id) do nothing
returning id

-- Insert scheduled script $1 of person $2, with the values that the JSON object $3 has for all columns that are a client's.
-- No row: $1 exists already.
insert into tminus.scheduled_scripts (id, created_by,
    description, script, sites, test_site_id, make_backup, abort_if_offline, notify, launch_at, cron, timezone, start_within, site_timeout,
    max_concurrency, expects_disconnect, detached, guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, site_query, wave_sizes,
    wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline, windows, local_time, stop_starting_at,
    missed_policy, until, max_launches, post_checks)
select $1, $2,
    n.description, n.script, n.sites, n.test_site_id, n.make_backup, n.abort_if_offline, n.notify, n.launch_at, n.cron, n.timezone,
    make_interval(secs => n.start_within), make_interval(secs => n.site_timeout), n.max_concurrency, n.expects_disconnect, n.detached,
    n.guard_version, n.guard_free_space, make_interval(secs => n.guard_uptime), n.guard_cpu_load, n.variables,
    jsonb_strip_nulls(nullif(n.site_query, 'null')), n.wave_sizes, n.wave_order, make_interval(secs => n.wave_pause), n.wave_confirm,
    make_interval(secs => n.confirm_within), n.max_failures, n.max_failures_in_wave, n.max_offline, n.windows, n.local_time, n.stop_starting_at,
    n.missed_policy, n.until, n.max_launches, n.post_checks
from jsonb_to_record($3::jsonb) as n (description text, script text, sites text[], test_site_id text, make_backup boolean,
    abort_if_offline boolean, notify text[], launch_at timestamptz, cron text, timezone text, start_within double precision,
    site_timeout double precision, max_concurrency integer, expects_disconnect boolean, detached boolean,
    guard_version text, guard_free_space bigint, guard_uptime double precision, guard_cpu_load integer, variables jsonb, site_query jsonb,
    wave_sizes text[], wave_order text[], wave_pause double precision, wave_confirm boolean, confirm_within double precision, max_failures text,
    max_failures_in_wave text, max_offline text, windows text[], local_time timestamp, stop_starting_at timestamptz, missed_policy text,
    until timestamptz, max_launches integer, post_checks text[])
on conflict (id) do nothing
returning id

-- Is scheduled script $1 the one that `submit` with these parameters asks for? One row: the answer. A time from now ($11) can
-- not be compared when it is asked again later, and the next occurrence of a cron row is the daemon's.
select
    (s.created_by, s.description, s.script, case when s.site_query is null then s.sites end, s.test_site_id, s.make_backup, s.abort_if_offline, s.notify, s.cron, s.timezone,
        s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached,
        s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.site_query,
        s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches,
        s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
        case when not s.summary_generated then s.summary end, s.post_checks)
    is not distinct from
    (coalesce($2::text, session_user), $3::text, $4::text, case when $24::jsonb is null then $5::text[] end, $6::text, $7::boolean, $8::boolean, $9::text[], tminus.plain_cron($12),
        case when $12 is not null then coalesce($13::text, 'UTC') end, $14::interval, $15::interval, $16::integer, $17::boolean, $18::boolean,
        tminus.plain_version_range($19, 'guard_version'), $20::bigint, $21::interval, $22::integer, $23::jsonb,
        case when $24::jsonb is not null then tminus.plain_site_query($24) end,
        $25::text[], $26::timestamp, $27::timestamptz, $28::text, $29::timestamptz, $30::integer,
        $31::text[], $32::text[], $33::interval, $34::boolean, $35::interval, $36::text, $37::text, $38::text, $39::text, $40::text[])
    and (s.cron is not null or s.local_time is not null or $11::interval is not null or s.launch_at is not distinct from $10::timestamptz)
from tminus.scheduled_scripts s
where s.id = $1

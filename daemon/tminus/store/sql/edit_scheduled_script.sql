-- Edit scheduled script $1 as person $4: the columns $2, with the values that the JSON object $3 has; the others stay. The caller
-- holds the row (lock_scheduled_script). No row: there is none.
update tminus.scheduled_scripts s
set description = case when 'description' = any ($2::text[]) then n.description else s.description end,
    script = case when 'script' = any ($2) then n.script else s.script end,
    sites = case when 'sites' = any ($2) then n.sites else s.sites end,
    test_site_id = case when 'test_site_id' = any ($2) then n.test_site_id else s.test_site_id end,
    make_backup = case when 'make_backup' = any ($2) then n.make_backup else s.make_backup end,
    abort_if_offline = case when 'abort_if_offline' = any ($2) then n.abort_if_offline else s.abort_if_offline end,
    notify = case when 'notify' = any ($2) then n.notify else s.notify end,
    launch_at = case when 'launch_at' = any ($2) then n.launch_at else s.launch_at end,
    cron = case when 'cron' = any ($2) then n.cron else s.cron end,
    timezone = case when 'timezone' = any ($2) then n.timezone else s.timezone end,
    start_within = case when 'start_within' = any ($2) then make_interval(secs => n.start_within) else s.start_within end,
    site_timeout = case when 'site_timeout' = any ($2) then make_interval(secs => n.site_timeout) else s.site_timeout end,
    max_concurrency = case when 'max_concurrency' = any ($2) then n.max_concurrency else s.max_concurrency end,
    expects_disconnect = case when 'expects_disconnect' = any ($2) then n.expects_disconnect else s.expects_disconnect end,
    detached = case when 'detached' = any ($2) then n.detached else s.detached end,
    guard_version = case when 'guard_version' = any ($2) then n.guard_version else s.guard_version end,
    guard_free_space = case when 'guard_free_space' = any ($2) then n.guard_free_space else s.guard_free_space end,
    guard_uptime = case when 'guard_uptime' = any ($2) then make_interval(secs => n.guard_uptime) else s.guard_uptime end,
    guard_cpu_load = case when 'guard_cpu_load' = any ($2) then n.guard_cpu_load else s.guard_cpu_load end,
    variables = case when 'variables' = any ($2) then n.variables else s.variables end,
    site_query = case when 'site_query' = any ($2) then jsonb_strip_nulls(nullif(n.site_query, 'null')) else s.site_query end,
    updated_by = $4
from jsonb_to_record($3::jsonb) as n (description text, script text, sites text[], test_site_id text, make_backup boolean,
    abort_if_offline boolean, notify text[], launch_at timestamptz, cron text, timezone text, start_within double precision,
    site_timeout double precision, max_concurrency integer, expects_disconnect boolean, detached boolean,
    guard_version text, guard_free_space bigint, guard_uptime double precision, guard_cpu_load integer, variables jsonb, site_query jsonb)
where s.id = $1
returning s.id

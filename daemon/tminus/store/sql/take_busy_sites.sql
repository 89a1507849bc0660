-- Busy sites that are to be looked at, put off by their back-off so that no other instance looks at the same time. $1: how many,
-- $2: instance. Those that another instance can serve and this one cannot are left to it, and those of scripts that are set
-- aside to a person. No row: none is due.
with due as (
    select b.site_run_id
    from tminus.busy_sites b
    join tminus.sites s on s.id = b.site_id
    join tminus.instances i on i.id = $2
    join tminus.site_runs r on r.id = b.site_run_id
    join tminus.launches l on l.id = r.launch_id
    where b.free_at is null and b.look_at <= tminus.clock() and tminus.can_serve(i, s)
        and not exists (select from tminus.set_aside a where a.script_id = l.script_id and a.readmitted_at is null)
    order by b.look_at
    limit $1
    for update of b skip locked
), taken as (
    update tminus.busy_sites b
    set attempts = b.attempts + 1, look_at = tminus.clock() + least(interval '15 seconds' * power(2, least(b.attempts, 6)), interval '10 minutes')
    from due
    where b.site_run_id = due.site_run_id
    returning b.site_run_id, b.site_id, b.look_at
)
select
    r.id, r.launch_id, r.site_digest, r.nonce, coalesce(r.started_under, r.launch_id) as started_under, r.uptime_before, r.executing_at, r.reason, l.script, l.site_timeout, l.expects_disconnect, l.detached, l.variables as script_variables, l.post_checks,
    s.id as site_id, s.address, s.port, s.username, s.credential, s.host_key, s.seen_host_key, s.ssh_profile, s.sensitive_export, s.return_address, s.jump_host, s.runner,
    s.enabled, s.serial, s.variables, t.look_at, tminus.clock() as now
from taken t
join tminus.site_runs r on r.id = t.site_run_id
join tminus.launches l on l.id = r.launch_id
join tminus.sites s on s.id = t.site_id

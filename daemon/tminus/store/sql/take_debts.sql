-- Cleanup debts whose next try is due, put off by their back-off so that no other instance tries at the same time.
-- $1: how many, $2: instance. Sites on which a script runs are left alone, and those that another instance can serve and this
-- one cannot; of scripts that are set aside, until a person has resolved the run. No row: nothing is owed, or it is not time yet.
with due as (
    select d.id
    from tminus.cleanup_debts d
    join tminus.sites s on s.id = d.site_id
    join tminus.instances i on i.id = $2
    where d.settled_at is null and d.next_try_at <= tminus.clock()
        and not exists (select from tminus.site_runs r where r.site_id = d.site_id and r.state = 'running')
        -- The output of a job is written when it ends. All else may go at once: without its file a script cannot start late.
        and not exists (
            select from tminus.busy_sites b
            join tminus.site_runs r on r.id = b.site_run_id
            join tminus.launches l on l.id = r.launch_id
            where b.site_run_id = d.site_run_id and b.free_at is null and l.detached)
        and not exists (
            select from tminus.site_runs r
            join tminus.launches l on l.id = r.launch_id
            join tminus.set_aside a on a.script_id = l.script_id and a.readmitted_at is null
            where r.id = d.site_run_id and r.resolved_at is null)
        and (tminus.can_serve(i, s) or tminus.why_unserved(s) is not null)
    order by d.next_try_at
    limit $1
    for update of d skip locked
), taken as (
    update tminus.cleanup_debts d
    set attempts = d.attempts + 1,
        next_try_at = tminus.clock() + least(interval '1 minute' * power(2, least(d.attempts, 8)), interval '2 hours')
    from due
    where d.id = due.id and d.settled_at is null
    returning d.id, d.site_id, d.file_name, d.attempts, d.since, d.stop_job_by is not null and d.job_stopped_at is null as stop_job
)
select
    t.id, t.file_name, t.stop_job, t.attempts, tminus.clock() - t.since as age,
    s.id as site_id, s.address, s.port, s.username, s.credential, s.host_key, s.seen_host_key, s.ssh_profile, s.sensitive_export, s.return_address, s.jump_host, s.runner,
    s.enabled, s.serial
from taken t
join tminus.sites s on s.id = t.site_id

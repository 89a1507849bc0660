-- Files of ours that still lie on routers, and jobs that are to be stopped there, the oldest first: of site run $1, where that is not null. At most $2.
select
    d.id, d.site_id, d.file_name, d.since, extract(epoch from tminus.clock() - d.since)::double precision as age_seconds, d.attempts,
    d.next_try_at, d.last_error, d.site_run_id, d.stop_job_by, d.job_stopped_at, l.script_id
from tminus.cleanup_debts d
join tminus.site_runs r on r.id = d.site_run_id
join tminus.launches l on l.id = r.launch_id
where d.settled_at is null and ($1::bigint is null or d.site_run_id = $1)
order by d.since, d.id
limit $2

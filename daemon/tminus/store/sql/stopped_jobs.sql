-- Jobs of resolved runs that were stopped on their routers in the last week, as people asked, the latest first. At most $1.
select d.site_id, d.stop_job_by, d.job_stopped_at, d.jobs_stopped, d.site_run_id
from tminus.cleanup_debts d
where d.job_stopped_at > tminus.clock() - interval '7 days'
order by d.job_stopped_at desc, d.id desc
limit $1

-- A debt ($1) is paid: the file is gone. One whose job is still to be stopped is not.
update tminus.cleanup_debts d
set settled_at = tminus.clock()
where d.id = $1 and d.settled_at is null and (d.stop_job_by is null or d.job_stopped_at is not null)

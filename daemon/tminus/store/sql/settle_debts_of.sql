-- The files of one attempt ($2 names them) are gone from site $1. No row: nothing was owed, or its job is still to be stopped.
update tminus.cleanup_debts d
set settled_at = tminus.clock()
where d.site_id = $1 and d.file_name = $2 and d.settled_at is null and (d.stop_job_by is null or d.job_stopped_at is not null)
returning d.id

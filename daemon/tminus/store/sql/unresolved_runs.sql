-- Site runs that ended as unknown and that nobody resolved yet, newest first: of scheduled script $1, where that is not null. At most $2.
select
    r.id, l.script_id, r.launch_id, l.kind, l.due_at, r.site_id, r.reason, r.message, r.executing_at, r.finished_at, l.description
from tminus.site_runs r
join tminus.launches l on l.id = r.launch_id
where r.state = 'unknown' and r.resolved_at is null and ($1::uuid is null or l.script_id = $1)
order by r.id desc
limit $2

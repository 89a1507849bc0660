-- Launches whose id lies between $1 and $2; and of scheduled scripts whose id does, the latest launch each, a running one
-- before all others. Up to four. No row: there is none.
select l.id from tminus.launches l where l.id between $1 and $2
union
select x.id
from tminus.scheduled_scripts s
cross join lateral (
    select q.id from tminus.launches q where q.script_id = s.id order by (q.finished_at is null) desc, q.due_at desc, q.id limit 1
) x
where s.id between $1 and $2
order by id
limit 4

-- The $1 launches that finished last, the missed ones among them, with how their site runs ended.
select
    l.id as launch_id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, c.sites, c.completed, c.failed,
    c.skipped, c.unknown, c.ready
from (
    select q.* from tminus.launches q where q.finished_at is not null order by q.finished_at desc, q.id limit $1
) l
-- Launch by launch: not those of all launches, of which these are then found.
cross join lateral (select * from tminus.launch_counts c where c.launch_id = l.id offset 0) c
order by l.finished_at desc, l.id

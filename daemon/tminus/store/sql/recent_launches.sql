-- The $1 launches that finished last, the missed ones among them, with how their site runs ended. `ready` counts what a rehearsal
-- found ready.
select
    l.id as launch_id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, c.sites, c.completed, c.failed,
    c.skipped, c.unknown, c.ready
from (
    select q.* from tminus.launches q where q.finished_at is not null order by q.finished_at desc, q.id limit $1
) l
cross join lateral (
    select
        count(*) as sites,
        count(*) filter (where r.outcome = 'completed') as completed,
        count(*) filter (where r.outcome = 'failed') as failed,
        count(*) filter (where r.outcome = 'skipped') as skipped,
        count(*) filter (where r.outcome = 'unknown') as unknown,
        count(*) filter (where r.reason = 'rehearsed') as ready
    from tminus.site_runs r
    where r.launch_id = l.id
) c
order by l.finished_at desc, l.id

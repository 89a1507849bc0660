-- Launches that have not finished, with how many of their site runs are in which state; and of those that wait, how many no
-- living daemon can serve. `ready` counts what a rehearsal found ready.
select
    l.id as launch_id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, l.authorized_by, c.sites,
    c.completed, c.failed, c.skipped, c.unknown, c.running, c.pending, c.ready, c.unserved
from tminus.launches l
cross join lateral (
    select
        count(*) as sites,
        count(*) filter (where r.outcome = 'completed') as completed,
        count(*) filter (where r.outcome = 'failed') as failed,
        count(*) filter (where r.outcome = 'skipped') as skipped,
        count(*) filter (where r.outcome = 'unknown') as unknown,
        count(*) filter (where r.outcome = 'running') as running,
        count(*) filter (where r.outcome = 'pending') as pending,
        count(*) filter (where r.reason = 'rehearsed') as ready,
        count(*) filter (where r.outcome = 'pending' and not exists (
            select from tminus.sites t join tminus.instances i on tminus.can_serve(i, t)
            where t.id = r.site_id and i.state = 'alive' and i.heartbeat_at + i.ttl > tminus.clock())) as unserved
    from tminus.site_runs r
    where r.launch_id = l.id
) c
where l.finished_at is null
order by l.due_at, l.id

-- Launches that have not finished, with how many of their site runs are in which state.
select
    l.id as launch_id, l.script_id, l.kind, l.state, l.description, l.due_at, l.started_at, l.authorized_by, c.sites, c.completed, c.failed,
    c.skipped, c.unknown, c.running, c.pending
from tminus.launches l
cross join lateral (
    select
        count(*) as sites,
        count(*) filter (where r.state = 'completed') as completed,
        count(*) filter (where r.state = 'failed') as failed,
        count(*) filter (where r.state = 'skipped') as skipped,
        count(*) filter (where r.state = 'unknown') as unknown,
        count(*) filter (where r.state = 'running') as running,
        count(*) filter (where r.state = 'pending') as pending
    from tminus.site_runs r
    where r.launch_id = l.id
) c
where l.finished_at is null
order by l.due_at, l.id

-- Rehearsal $1 at this moment. `instances` is how many daemons are alive. No row: there is no such launch.
select
    l.finished_at,
    (select count(*) from tminus.instances i where i.state = 'alive' and i.heartbeat_at + i.ttl > tminus.clock()) as instances,
    c.sites, c.ready
from tminus.launches l
cross join lateral (
    select
        count(*) as sites,
        count(*) filter (where r.reason = 'rehearsed') as ready
    from tminus.site_runs r
    where r.launch_id = l.id
) c
where l.id = $1

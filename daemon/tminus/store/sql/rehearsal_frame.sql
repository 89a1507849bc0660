-- Rehearsal $1 at this moment. Seconds are by the database's clock. No row: there is no such launch.
select
    l.finished_at, extract(epoch from tminus.clock() - l.started_at)::double precision as seconds_since_start,
    (select count(*) from tminus.instances i where i.state = 'alive' and i.heartbeat_at + i.ttl >= tminus.clock()) as instances,
    c.sites, c.ready, c.open
from tminus.launches l
cross join lateral (
    select
        count(*) as sites,
        count(*) filter (where r.reason = 'rehearsed') as ready,
        count(*) filter (where r.state in ('pending', 'running')) as open
    from tminus.site_runs r
    where r.launch_id = l.id
) c
where l.id = $1

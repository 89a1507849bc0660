-- One launch ($1) at this moment, with how its site runs stand. No row: there is no such launch.
select l.id as launch_id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, l.created_by, l.authorized_by, l.run_now_by,
    l.digest, cardinality(l.sites) as sites, c.completed, c.failed, c.skipped, c.unknown, c.running, c.pending, c.ready, c.unserved,
    extract(epoch from coalesce(l.finished_at, tminus.clock()) - l.started_at)::double precision as seconds,
    (select count(*) from tminus.instances i where tminus.is_alive(i)) as instances
from tminus.launches l
left join tminus.launch_counts c on c.launch_id = l.id
where l.id = $1

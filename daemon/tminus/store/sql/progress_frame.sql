-- One scheduled script ($1) at this moment, and the launch that is under way, else the latest. Seconds are by the database's clock.
-- No row: there is no such scheduled script. The columns of the launch are null before the first.
select
    s.id, s.description, s.status, s.status_reason, s.cron, s.launch_at, s.authorized_by, cardinality(s.sites) as sites,
    extract(epoch from s.launch_at - tminus.clock())::double precision as seconds_to_launch,
    (select count(*) from tminus.instances i where tminus.is_alive(i)) as instances,
    l.id as launch_id, l.state as launch_state, l.reason as launch_reason, l.due_at, l.started_at, l.finished_at, l.run_now_by,
    l.wave, l.waves, l.paused_by, l.pause_note, l.asked_wave > l.wave and l.confirmed_wave <= l.wave as waits_for_person,
    extract(epoch from coalesce(l.finished_at, tminus.clock()) - l.started_at)::double precision as seconds_since_start,
    c.sites as total, c.completed, c.failed, c.skipped, c.unknown, c.running, c.pending, c.unserved
from tminus.scheduled_scripts s
left join lateral (
    (select q.* from tminus.launches q where q.script_id = s.id and q.kind in ('scheduled', 'retry') and q.finished_at is null limit 1)
    union all
    (select q.* from tminus.launches q where q.script_id = s.id and q.kind in ('scheduled', 'retry') order by q.due_at desc limit 1)
    limit 1
) l on true
left join tminus.launch_counts c on c.launch_id = l.id
where s.id = $1

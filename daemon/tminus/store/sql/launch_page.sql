-- Launch $1 with what its page says of it. No row: there is no such launch.
select l.id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, l.created_by, l.authorized_by, l.digest,
    l.wave, l.waves, l.paused_at, l.paused_by, l.pause_note, l.asked_wave > l.wave and l.confirmed_wave <= l.wave as waits, l.wave_confirm, l.retry_of,
    cardinality(l.sites) as sites,
    (select q.id from tminus.launches q where q.retry_of = l.id order by q.due_at desc limit 1) as retried_as,
    (select count(*) from tminus.instances i where tminus.is_alive(i)) as instances,
    extract(epoch from coalesce(l.finished_at, tminus.clock()) - l.started_at)::double precision as seconds
from tminus.launches l
join tminus.scheduled_scripts s on s.id = l.script_id
where l.id = $1

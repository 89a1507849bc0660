-- Launches that have not finished, with how many of their site runs are in which state.
select
    l.id as launch_id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, l.authorized_by, l.wave, l.waves, l.paused_by, l.pause_note, l.asked_wave > l.wave and l.confirmed_wave <= l.wave as waits_for_person, c.sites,
    c.completed, c.failed, c.skipped, c.unknown, c.running, c.pending, c.ready, c.unserved
from tminus.launches l
-- Launch by launch: not those of all launches, of which these are then found.
cross join lateral (select * from tminus.launch_counts c where c.launch_id = l.id offset 0) c
where l.finished_at is null
order by l.due_at, l.id

-- Launches that have not finished, with their sites as letters; see launch_cells.
select l.id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.authorized_by, l.wave, l.waves, l.paused_by, l.pause_note,
    l.asked_wave > l.wave and l.confirmed_wave <= l.wave as waits, tminus.cells(l.id) as cells
from tminus.launches l
where l.finished_at is null
order by l.due_at, l.id

-- How the launches that have not finished, and launches $1, stand: all that changes on their pages. `cells`: see
-- tminus.cells. A launch that is not there has no row.
select l.id, l.state, l.reason, l.wave, l.waves, l.paused_at is not null as paused, l.finished_at is not null as finished,
    l.asked_wave > l.wave and l.confirmed_wave <= l.wave as waits,
    tminus.cells(l.id) as cells
from tminus.launches l
where l.id = any (array(select q.id from tminus.launches q where q.finished_at is null) || $1::uuid[])

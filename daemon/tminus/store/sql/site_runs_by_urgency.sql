-- The first $2 site runs of launch $1 (null: all): what runs, what a person has to look at, what waits, what is done.
-- The message of a waiting one says that no living daemon can serve it, or that its tags have no place.
select
    r.site_id, r.state, r.outcome, r.step, r.reason, r.effect, r.warnings, r.attempts, r.started_at, r.executing_at, r.finished_at,
    case when r.state = 'pending' then coalesce('Waits: ' || coalesce(tminus.why_unserved(s), tminus.why_capped(s.tags)) || '.', r.message) else r.message end as message,
    extract(epoch from coalesce(r.finished_at, tminus.clock()) - r.started_at)::double precision as seconds
from tminus.site_runs r
join tminus.sites s on s.id = r.site_id
where r.launch_id = $1
order by array_position(array['running', 'unknown', 'failed', 'skipped', 'pending', 'completed'], r.outcome), r.position
limit $2

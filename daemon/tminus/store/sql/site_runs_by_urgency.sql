-- The first $2 site runs of launch $1 (null: all): what runs, what a person has to look at, what waits, what is done.
select
    r.site_id, r.state, r.step, r.reason, r.effect, r.message, r.warnings, r.attempts, r.started_at, r.executing_at, r.finished_at,
    extract(epoch from coalesce(r.finished_at, tminus.clock()) - r.started_at)::double precision as seconds
from tminus.site_runs r
where r.launch_id = $1
order by array_position(array['running', 'unknown', 'failed', 'skipped', 'pending', 'completed'], r.state), r.position
limit $2

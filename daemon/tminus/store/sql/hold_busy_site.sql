-- Somebody listens to site run $1, so that nobody need look for $2 seconds; $3: what is seen. No row: the site is free, because
-- a person resolved the run or somebody saw that it is over.
update tminus.busy_sites b
set look_at = greatest(b.look_at, tminus.clock() + make_interval(secs => $2)), seen = $3
where b.site_run_id = $1 and b.free_at is null
returning b.site_run_id

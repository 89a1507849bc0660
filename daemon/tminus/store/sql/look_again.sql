-- A look at site run $1, which noted $2 as the next one, found $3; the time of the script is over in $4 seconds (null: it is over
-- already), and the next look need not be later than that. Where another time is noted meanwhile, somebody listens to the
-- script again: it stays. No row: the site is free.
update tminus.busy_sites b
set look_at = case when b.look_at = $2 then least(b.look_at, tminus.clock() + make_interval(secs => $4)) else b.look_at end, seen = $3
where b.site_run_id = $1 and b.free_at is null
returning b.site_run_id

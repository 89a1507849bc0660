-- Site run $1 may still be running: look again in $2 seconds; $3: what was seen (null leaves what is known). No row: the site is
-- free, because a person resolved the run or somebody saw that it is over.
update tminus.busy_sites b
set look_at = greatest(b.look_at, tminus.clock() + make_interval(secs => $2)), seen = coalesce($3, b.seen)
where b.site_run_id = $1 and b.free_at is null
returning b.site_run_id

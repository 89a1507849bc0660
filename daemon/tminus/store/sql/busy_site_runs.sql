-- The site runs whose scripts may still be running.
select b.site_run_id from tminus.busy_sites b where b.free_at is null

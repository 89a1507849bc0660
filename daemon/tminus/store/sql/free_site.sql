-- The script of site run $1 is over ($2: how that is known), so its router is free. No row: it was free already.
with freed as (
    update tminus.busy_sites b
    set free_at = tminus.clock(), free_because = $2
    where b.site_run_id = $1 and b.free_at is null
    returning b.site_run_id
)
select f.site_run_id, pg_notify('tminus', 'launch') from freed f

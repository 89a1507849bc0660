-- A script that is set aside may still be running on the router that it was started on, and its file lies there. Until a person
-- has resolved the run, or readmitted the script and a daemon has looked, no other launch starts there.
create or replace function tminus.end_set_aside() returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    with ended as (
        update tminus.site_runs r
        set state = 'unknown', reason = 'daemon_lost', effect = 'unknown', step = null, finished_at = tminus.clock(),
            message = 'The daemon died while the script was running. The script was set aside, since that had happened before, so the router was not asked.'
        from tminus.launches l
        where l.id = r.launch_id and l.finished_at is null and r.state = 'running' and r.instance_id is null and tminus.is_set_aside(l.script_id)
        returning r.id, r.site_id, r.nonce
    ), held as (
        insert into tminus.busy_sites (site_run_id, site_id, look_at, seen)
        select e.id, e.site_id, tminus.clock(), 'The script is set aside, so nobody looks: readmit it, or resolve the run.' from ended e
        on conflict (site_run_id) do nothing
    )
    insert into tminus.cleanup_debts (site_id, site_run_id, file_name, next_try_at)
    select e.site_id, e.id, 'tminus-' || e.nonce || '.rsc', tminus.clock() from ended e
    on conflict (site_run_id, file_name) do nothing
$$;

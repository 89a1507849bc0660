-- Numbers for the metrics that only the database knows. One row.
select
    (select count(*) from tminus.launches where finished_at is null) as running_launches,
    (select count(*) from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where l.finished_at is null and r.state = 'pending') as pending_sites,
    (select count(*) from tminus.site_runs where state = 'unknown' and resolved_at is null) as unknown_sites,
    (select count(*) from tminus.cleanup_debts where settled_at is null) as cleanup_debts,
    (select coalesce(extract(epoch from max(tminus.clock() - r.started_at - l.site_timeout)), 0)::double precision
        from tminus.site_runs r join tminus.launches l on l.id = r.launch_id
        where l.finished_at is null and r.state = 'running') as longest_overrun_seconds

-- Numbers for the metrics that only the database knows, each from a partial index: the cost follows what waits and runs,
-- not what was. One row. Null in next_launch_at: nothing is authorized and still to come.
select
    (select count(*) from tminus.launches where finished_at is null) as running_launches,
    (select count(*) from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where l.finished_at is null and r.state = 'pending') as pending_sites,
    (select count(*) from tminus.sites t
        where t.id in (
            select r.site_id from tminus.site_runs r join tminus.launches l on l.id = r.launch_id where l.finished_at is null and r.state = 'pending'
            union
            select x.site_id from tminus.scheduled_script_sites x join tminus.scheduled_scripts s on s.id = x.script_id
            where s.status = 'scheduled' and s.launch_at <= tminus.clock() + interval '1 hour')
        and t.enabled
        and not exists (select from tminus.instances i where tminus.is_alive(i) and tminus.can_serve(i, t))) as unserved_sites,
    (select count(*) from tminus.site_runs where state = 'unknown' and resolved_at is null) as unknown_sites,
    (select count(*) from tminus.busy_sites where free_at is null) as busy_sites,
    -- Not accepted by a person, or those for which a living daemon waits for a signature, whatever this database says.
    greatest((select count(*) from tminus.lost_starts where accepted_at is null),
        (select coalesce(sum(cardinality(h.nonces)), 0)::bigint from tminus.host_holds h join tminus.instances i on i.id = h.instance_id
            where h.released_at is null and tminus.is_alive(i))) as lost_starts,
    (select count(*) from tminus.lost_acts where accepted_at is null) as lost_acts,
    (select count(*) from tminus.set_aside where readmitted_at is null) as set_aside_scripts,
    (select coalesce(greatest(extract(epoch from max(tminus.clock() - r.started_at - l.site_timeout)), 0), 0)::double precision
        from tminus.site_runs r join tminus.launches l on l.id = r.launch_id
        where l.finished_at is null and r.state = 'running') as longest_overrun_seconds,
    (select count(*) from tminus.scheduled_scripts s
        where s.status = 'unauthorized' and s.launch_at between tminus.clock() and tminus.clock() + interval '1 hour') as unauthorized_scripts,
    (select extract(epoch from min(s.launch_at))::double precision from tminus.scheduled_scripts s where s.status = 'scheduled') as next_launch_at,
    (select count(*) from tminus.launches where state = 'missed' and finished_at > tminus.clock() - interval '1 day') as missed_launches,
    (select count(*) from tminus.cleanup_debts where settled_at is null) as cleanup_debts,
    (select coalesce(extract(epoch from max(tminus.clock() - d.since)), 0)::double precision
        from tminus.cleanup_debts d where d.settled_at is null) as oldest_debt_seconds,
    (select count(*) from tminus.letters where state = 'pending') as letters_waiting,
    (select count(*) from tminus.letters where state = 'failed' and ended_at > tminus.clock() - interval '1 day') as letters_failed,
    -- When it is full, nobody can write what others are told of: a session that listens, and never ends its transaction.
    pg_notification_queue_usage() as notification_queue

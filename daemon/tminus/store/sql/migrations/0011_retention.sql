-- What is older than anyone wants to know is forgotten: exports, outputs, events. The daemon calls these again and again.
--
-- Each looks at the next `p_window` rows after `p_after`, in the order of their key, and forgets those of them whose time is
-- over: so neither a lock nor a transaction is ever long, and what has to be kept is not looked at again until the next
-- round. `next_after` is where to go on; null: the end, or where everything is young. Rows that somebody holds are left for
-- the next round.
--
-- Never forgotten: what belongs to a launch that is not finished, to an unknown run that nobody resolved, or to a file that
-- still lies on a router. Site runs, launches and authorizations are never deleted.

create index site_runs_with_output on tminus.site_runs (id) where output is not null or diff is not null or evidence is not null;

-- Launches of which a person has still to find out something.
create function tminus.open_launches() returns table (launch_id uuid, script_id uuid)
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select l.id, l.script_id from tminus.launches l where l.finished_at is null
    union
    select l.id, l.script_id
    from tminus.site_runs r
    join tminus.launches l on l.id = r.launch_id
    where r.state = 'unknown' and r.resolved_at is null
    union
    select l.id, l.script_id
    from tminus.cleanup_debts d
    join tminus.site_runs r on r.id = d.site_run_id
    join tminus.launches l on l.id = r.launch_id
    where d.settled_at is null
$$;

-- Output, difference and evidence of site runs that ended more than `p_keep` ago. What the run came to stays for ever.
create function tminus.forget_outputs(p_after bigint, p_keep interval, p_window integer, out next_after bigint, out forgotten integer)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with seen as materialized (
        select r.id, r.launch_id, greatest(r.finished_at, r.resolved_at) < tminus.clock() - p_keep as is_old
        from tminus.site_runs r
        where r.id > p_after and (r.output is not null or r.diff is not null or r.evidence is not null)
        order by r.id
        limit p_window
    ), over as materialized (
        select r.id
        from seen s
        join tminus.site_runs r on r.id = s.id
        where s.is_old and s.launch_id not in (select o.launch_id from tminus.open_launches() o)
        for no key update of r skip locked
    ), cleared as (
        update tminus.site_runs r set output = null, diff = null, evidence = null from over where r.id = over.id returning r.id
    )
    select (select max(s.id) from seen s having count(*) = p_window and bool_or(s.is_old)), (select count(*) from cleared)::integer
$$;

-- Exports that were taken more than `p_keep` ago, but of each site the newest `p_newest` never.
create function tminus.forget_backups(p_after bigint, p_keep interval, p_newest integer, p_window integer, out next_after bigint, out forgotten integer)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with seen as materialized (
        select b.id, b.site_id, b.launch_id, b.taken_at, b.taken_at < tminus.clock() - p_keep as is_old
        from tminus.backups b
        where b.id > p_after
        order by b.id
        limit p_window
    ), over as materialized (
        select b.id
        from seen s
        join tminus.backups b on b.id = s.id
        where s.is_old and s.launch_id not in (select o.launch_id from tminus.open_launches() o)
            and (
                select count(*)
                from (
                    select from tminus.backups n
                    where n.site_id = s.site_id and n.taken_at >= s.taken_at and (n.taken_at, n.id) > (s.taken_at, s.id)
                    limit p_newest
                ) newer
            ) = p_newest
        for update of b skip locked
    ), gone as (
        delete from tminus.backups b using over where b.id = over.id returning b.id
    )
    select (select max(s.id) from seen s having count(*) = p_window and bool_or(s.is_old)), (select count(*) from gone)::integer
$$;

-- Texts that no export, and no text that is stored as what differs from it, refers to any more.
--
-- A writer that finds a text holds it (for key share) until its export is committed. So they are locked first, and looked at
-- again under the lock: whoever held one by then has committed and is seen, whoever comes later waits a moment and finds
-- that it is gone. In plpgsql each statement has a snapshot of its own, which this needs.
create function tminus.forget_texts(p_after bytea, p_window integer, out next_after bytea, out forgotten integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    seen bytea[];
    held bytea[];
begin
    seen := array(select t.sha256 from tminus.backup_texts t where t.sha256 > p_after order by t.sha256 limit p_window);
    if cardinality(seen) = p_window then
        next_after := seen[p_window];
    end if;
    held := array(
        select t.sha256 from tminus.backup_texts t
        where t.sha256 = any (seen) and not exists (select from tminus.backups b where b.sha256 = t.sha256)
            and not exists (select from tminus.backup_texts d where d.base = t.sha256)
        for update of t skip locked);
    delete from tminus.backup_texts t
    where t.sha256 = any (held) and not exists (select from tminus.backups b where b.sha256 = t.sha256)
            and not exists (select from tminus.backup_texts d where d.base = t.sha256);
    get diagnostics forgotten = row_count;
end $$;

-- Events more than `p_keep` ago. Those of a scheduled script that may be launched again are kept (who authorized it?), but
-- not those of its launches that are over.
create function tminus.forget_events(p_after bigint, p_keep interval, p_window integer, out next_after bigint, out forgotten integer)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with seen as materialized (
        select e.id, e.launch_id, e.script_id, e.at < tminus.clock() - p_keep as is_old
        from tminus.events e
        where e.id > p_after
        order by e.id
        limit p_window
    ), held as materialized (
        select o.launch_id, o.script_id from tminus.open_launches() o
    ), over as materialized (
        select e.id
        from seen s
        join tminus.events e on e.id = s.id
        where s.is_old
            and (s.launch_id is null or s.launch_id not in (select h.launch_id from held h))
            and (s.launch_id is not null or s.script_id is null
                or s.script_id not in (select h.script_id from held h)
                    and (select c.status from tminus.scheduled_scripts c where c.id = s.script_id) in ('launched', 'cancelled'))
        for update of e skip locked
    ), gone as (
        delete from tminus.events e using over where e.id = over.id returning e.id
    )
    select (select max(s.id) from seen s having count(*) = p_window and bool_or(s.is_old)), (select count(*) from gone)::integer
$$;

grant execute on function tminus.forget_outputs(bigint, interval, integer), tminus.forget_backups(bigint, interval, integer, integer),
    tminus.forget_texts(bytea, integer), tminus.forget_events(bigint, interval, integer)
    to tminus_daemon;

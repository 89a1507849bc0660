-- What a database that was set back is told by the hosts that remember more (store/history.py), and what becomes of a scheduled
-- script whose handling ends the daemon again and again.

-- Whether this database knows a start, or a person accepted that it does not. (A failover that lost nothing knows it,
-- whatever the timeline.) The nonce names it: drawn anew for each attempt.
create function tminus.knows_start(p_site text, p_nonce text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (select from tminus.site_runs r where r.site_id = p_site and r.nonce = p_nonce and r.executing_at is not null)
        or exists (select from tminus.lost_starts l where l.nonce = p_nonce and l.accepted_at is not null)
$$;

-- Note the starts that this database does not know. While a person has not accepted them, nothing is started by anyone.
-- Returns how many are not known.
create function tminus.note_lost_starts(p_by text, p_runs bigint[], p_nonces text[], p_launches uuid[], p_sites text[], p_at timestamptz[])
    returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    lost integer;
    noted integer;
begin
    with remembered as materialized (
        select u.run, u.nonce, u.launch, u.site, u.at
        from unnest(p_runs, p_nonces, p_launches, p_sites, p_at) as u (run, nonce, launch, site, at)
        where not tminus.knows_start(u.site, u.nonce)
    ), written as (
        insert into tminus.lost_starts (nonce, site_run_id, launch_id, site_id, started_at, noticed_by)
        select m.nonce, m.run, m.launch, m.site, m.at, p_by from remembered m
        on conflict (nonce) do nothing
        returning nonce, site_run_id, launch_id, site_id, started_at
    ), told as (
        insert into tminus.events (kind, principal, launch_id, site_id, detail)
        select 'history_lost', p_by, w.launch_id, w.site_id,
            jsonb_build_object('site_run', w.site_run_id, 'nonce', w.nonce, 'started_at', w.started_at)
        from written w
    )
    select (select count(*) from remembered), (select count(*) from written) into lost, noted;
    if noted > 0 then
        perform pg_notify('tminus', 'paused');
    end if;
    return lost;
end $$;

-- The file that a site run before its point of no return may have on its router becomes a debt, since its nonce is about to
-- be replaced by that of an earlier start (p_nonce).
create function tminus.owe_unstarted_file(p_run bigint, p_nonce text) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    insert into tminus.cleanup_debts (site_id, site_run_id, file_name, next_try_at)
    select r.site_id, r.id, 'tminus-' || r.nonce || '.rsc', tminus.clock() + interval '1 minute'
    from tminus.site_runs r
    where r.id = p_run and r.executing_at is null and r.nonce <> p_nonce and r.nonce ~ '^[0-9a-f]{16}$'
    on conflict (site_run_id, file_name) do nothing
$$;

-- Put lost starts back into their site runs, where those are there and nobody else has them in hand: they are past their point
-- of no return. `p_running` are those whose scripts still run in the hands of p_instance, which goes on to own them; the
-- others wait to be resolved on their routers. Returns how many.
create function tminus.recall_lost_starts(p_instance uuid, p_running bigint[]) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    x record;
    recalled integer := 0;
begin
    if not exists (select from tminus.lost_starts) or tminus.living_state(p_instance) is null then
        return 0;
    end if;
    for x in
        select l.nonce, l.started_at, l.launch_id, l.site_id, r.id, r.state, r.id = any (p_running) as is_running
        from tminus.lost_starts l
        join tminus.site_runs r on r.launch_id = l.launch_id and r.site_id = l.site_id
        where r.finished_at is null and r.executing_at is null and not r.rehearsal
            and (r.state = 'pending' or r.instance_id = p_instance
                or not exists (select from tminus.instances i where i.id = r.instance_id and i.state in ('alive', 'draining')))
        order by l.started_at, r.id
        for no key update of r skip locked
    loop
        begin
            if x.state = 'pending' then
                update tminus.site_runs r
                set state = 'running', step = 'connecting', instance_id = p_instance, attempts = r.attempts + 1, not_before = null,
                    message = null, started_at = coalesce(r.started_at, x.started_at), turn_at = coalesce(r.turn_at, x.started_at)
                where r.id = x.id and r.state = 'pending';
            else
                perform tminus.owe_unstarted_file(x.id, x.nonce);
            end if;
            update tminus.site_runs r
            set step = 'executing', executing_at = x.started_at, nonce = x.nonce
            where r.id = x.id and r.state = 'running' and r.executing_at is null;
            if not x.is_running then
                update tminus.site_runs r
                set step = 'verifying', instance_id = null
                where r.id = x.id and r.state = 'running' and r.nonce = x.nonce;
            end if;
            insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
            select 'start_recalled', p_instance::text, l.script_id, l.id, x.site_id,
                jsonb_build_object('site_run', x.id, 'nonce', x.nonce, 'started_at', x.started_at)
            from tminus.launches l
            where l.id = x.launch_id;
            recalled := recalled + 1;
        exception when unique_violation then
            null;  -- another script runs on this router; later
        end;
    end loop;
    return recalled;
end $$;

create function tminus.settle_instance(p_instance uuid) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    update tminus.instances i
    set settled_on = tminus.incarnation()
    where i.id = p_instance and i.state in ('alive', 'draining') and i.settled_on is distinct from tminus.incarnation()
$$;

-- A site run whose occurrence was started on this site from p_instance's host already, under another launch that this database
-- has forgotten (it was set back, or somebody deleted it): nothing is sent, and it is resolved by what that start left on the
-- router. Returns whether the run was this instance's and not started.
create function tminus.refuse_spent(p_instance uuid, p_run bigint, p_nonce text, p_started_at timestamptz) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    r tminus.site_runs;
begin
    select * into r
    from tminus.site_runs q
    where q.id = p_run and q.instance_id = p_instance and q.state = 'running' and q.executing_at is null and not q.rehearsal
    for no key update;
    if not found or tminus.living_state(p_instance) is null then
        return false;
    end if;
    perform tminus.owe_unstarted_file(r.id, p_nonce);
    update tminus.site_runs u
    set step = 'executing', executing_at = p_started_at, nonce = p_nonce
    where u.id = r.id and u.state = 'running' and u.executing_at is null;
    update tminus.site_runs u set step = 'verifying', instance_id = null where u.id = r.id and u.state = 'running' and u.nonce = p_nonce;
    insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
    select 'start_refused', p_instance::text, l.script_id, l.id, r.site_id,
        jsonb_build_object('site_run', r.id, 'reason', 'this host started it already', 'started_at', p_started_at, 'nonce', p_nonce)
    from tminus.launches l
    where l.id = r.launch_id;
    return true;
end $$;

grant execute on function tminus.knows_start(text, text) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.note_lost_starts(text, bigint[], text[], uuid[], text[], timestamptz[]),
    tminus.recall_lost_starts(uuid, bigint[]), tminus.settle_instance(uuid), tminus.refuse_spent(uuid, bigint, text, timestamptz)
    to tminus_daemon;

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
create function tminus.refuse_spent(p_instance uuid, p_run bigint, p_nonce text, p_started_at timestamptz, p_launch uuid) returns boolean
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
    set step = 'executing', executing_at = p_started_at, nonce = p_nonce, started_under = p_launch
    where u.id = r.id and u.state = 'running' and u.executing_at is null;
    update tminus.site_runs u set step = 'verifying', instance_id = null where u.id = r.id and u.state = 'running' and u.nonce = p_nonce;
    insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
    select 'start_refused', p_instance::text, l.script_id, l.id, r.site_id,
        jsonb_build_object('site_run', r.id, 'reason', 'this host started it already', 'started_at', p_started_at, 'nonce', p_nonce)
    from tminus.launches l
    where l.id = r.launch_id;
    return true;
end $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Poison: a scheduled script whose handling ends the daemon (its memory, a bug of ours) would end every daemon, again and again.
--
-- An instance that is declared dead died while it had site runs in hand: each of their scripts is noted, the innocent ones too. Twice is a
-- suspicion: from then on that script is run by an instance that has nothing else in hand, so that the third time it is
-- alone, or it is none. A third time, alone: it is set aside until a person readmits it or edits it. A launch that goes
-- through without a crash clears what was noted before.

create table tminus.crashes (
    id bigint generated always as identity primary key,
    script_id uuid not null references tminus.scheduled_scripts (id),
    instance_id uuid not null references tminus.instances (id),
    -- Not a reference: a database that was set back may not have it.
    launch_id uuid not null,
    -- It was the only script that the instance had in hand.
    is_alone boolean not null,
    at timestamptz not null default tminus.clock(),
    cleared_at timestamptz,
    unique (script_id, instance_id)
);
create index crashes_open on tminus.crashes (script_id) where cleared_at is null;
create index crashes_by_instance on tminus.crashes (instance_id);

create table tminus.set_aside (
    id bigint generated always as identity primary key,
    script_id uuid not null references tminus.scheduled_scripts (id),
    -- Whose death was the third.
    instance_id uuid not null references tminus.instances (id),
    since timestamptz not null default tminus.clock(),
    readmitted_at timestamptz,
    readmitted_by text,
    note text,
    check ((readmitted_at is null) = (readmitted_by is null) and (readmitted_at is null) = (note is null))
);
create unique index set_aside_once on tminus.set_aside (script_id) where readmitted_at is null;

create trigger keep before delete or truncate on tminus.crashes for each statement execute function tminus.refuse_delete();
create trigger keep before delete or truncate on tminus.set_aside for each statement execute function tminus.refuse_delete();

create function tminus.is_set_aside(p_script uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select exists (select from tminus.set_aside a where a.script_id = p_script and a.readmitted_at is null) $$;

-- Scripts that were in hand at two deaths or more.
create function tminus.suspects() returns uuid[]
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select array(select c.script_id from tminus.crashes c where c.cleared_at is null group by c.script_id having count(*) >= 2)
$$;

-- Note what the instances that were just declared dead had in hand, and set aside what that convicts. Called by tminus.reap.
create function tminus.note_crashes(p_dead uuid[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    x record;
begin
    insert into tminus.crashes (script_id, instance_id, launch_id, is_alone)
    select h.script_id, h.instance_id, h.launch_id, count(*) over (partition by h.instance_id) = 1
    from (
        select distinct on (r.instance_id, l.script_id) r.instance_id, l.script_id, l.id as launch_id
        from tminus.site_runs r
        join tminus.launches l on l.id = r.launch_id
        where r.instance_id = any (p_dead) and r.finished_at is null and r.state = 'running'
        order by r.instance_id, l.script_id, l.started_at desc
    ) h
    on conflict (script_id, instance_id) do nothing;
    for x in
        select c.script_id, max(c.instance_id::text)::uuid as instance_id
        from tminus.crashes c
        where c.instance_id = any (p_dead) and c.is_alone and not tminus.is_set_aside(c.script_id)
            and (select count(*) from tminus.crashes o where o.script_id = c.script_id and o.cleared_at is null) >= 3
        group by c.script_id
    loop
        insert into tminus.set_aside (script_id, instance_id) values (x.script_id, x.instance_id);
        update tminus.scheduled_scripts u
        set status_reason = 'set aside: the daemon died three times while it ran this, the last time with nothing else in hand'
        where u.id = x.script_id;
        perform tminus.record('set_aside', 'tminus', x.script_id, null, null, jsonb_build_object('instance', x.instance_id));
    end loop;
end $$;

-- End what is past its point of no return of scripts that are set aside: to ask the router could be what ends the daemon. A
-- person looks. Called by tminus.reap, when the runs have lost their owners.
create function tminus.end_set_aside() returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    update tminus.site_runs r
    set state = 'unknown', reason = 'daemon_lost', effect = 'unknown', step = null, finished_at = tminus.clock(),
        message = 'The daemon died while the script was running. The script was set aside, since that had happened before, so the router was not asked.'
    from tminus.launches l
    where l.id = r.launch_id and l.finished_at is null and r.state = 'running' and r.instance_id is null and tminus.is_set_aside(l.script_id)
$$;

-- Which script an instance may take up: null where any but those of `barred`.
--   barred null: nothing at all now, so that what it has in hand comes to its end.
create function tminus.choose_alone(me tminus.instances, p_jump_hosts text[], out only_script uuid, out barred uuid[])
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    suspect uuid[] := tminus.suspects();
    held uuid[];
    next_alone uuid;
    is_urgent boolean;
begin
    barred := array(select a.script_id from tminus.set_aside a where a.readmitted_at is null);
    suspect := array(select u from unnest(suspect) as u where u <> all (barred));
    if cardinality(suspect) = 0 then
        return;
    end if;
    held := array(
        select distinct l.script_id from tminus.site_runs r join tminus.launches l on l.id = r.launch_id
        where r.instance_id = me.id and r.finished_at is null and r.state = 'running');
    if held && suspect then
        if cardinality(held) = 1 then
            only_script := held[1];
        else
            barred := null;
        end if;
        return;
    end if;
    -- A suspect that it could take up: what waits to be resolved first, then what is due first. It is taken when nothing
    -- else is in hand; after a quarter of its time nothing else is taken until then.
    select c.script_id, c.is_urgent into next_alone, is_urgent
    from (
        select l.script_id, true as is_urgent, l.due_at
        from tminus.launches l
        join tminus.site_runs r on r.launch_id = l.id and r.finished_at is null and r.state = 'running' and r.instance_id is null
        join tminus.sites s on s.id = r.site_id
        where l.finished_at is null and l.script_id = any (suspect) and tminus.can_serve(me, s)
        union all
        select l.script_id, coalesce(l.started_at, l.due_at) + l.start_within / 4 < tminus.clock(), l.due_at
        from tminus.launches l
        join tminus.site_runs r on r.launch_id = l.id and r.state = 'pending' and r.position <= l.open_to and (r.not_before is null or r.not_before <= tminus.clock())
        join tminus.sites s on s.id = r.site_id
        where l.finished_at is null and l.state = 'running' and l.paused_at is null and l.script_id = any (suspect) and tminus.can_serve(me, s)
            -- What it could not take up now must not keep it from the others. As in claim_site_runs.
            and (s.jump_host is null or s.jump_host = any (p_jump_hosts)) and tminus.why_capped(s.tags) is null
            and coalesce(l.stop_starting_at > tminus.clock(), true) and coalesce(l.authorization_expires_at > tminus.clock(), true)
            and (r.rehearsal or tminus.why_closed(s.tags, l.windows, tminus.clock()) is null
                and not exists (select from tminus.busy_sites b where b.site_id = r.site_id and b.free_at is null))
            and not exists (select from tminus.site_runs o where o.site_id = r.site_id and o.state = 'running')
            and not exists (select from tminus.lost_starts x where x.launch_id = r.launch_id and x.site_id = r.site_id)
            and (not r.rehearsal or (l.site_timeout, r.site_id) not in (select n.site_timeout, n.site_id from tminus.not_to_be_held() n))
    ) c
    order by c.is_urgent desc, c.due_at
    limit 1;
    if next_alone is null then
        barred := barred || suspect;
    elsif cardinality(held) = 0 then
        only_script := next_alone;
    elsif is_urgent then
        barred := null;
    else
        barred := barred || suspect;
    end if;
end $$;

-- An instance that was declared dead and finds that it lives (the database or the host was frozen) did not crash.
create function tminus.disclaim_crashes(p_instance uuid) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    x record;
begin
    update tminus.crashes c set cleared_at = tminus.clock() where c.instance_id = p_instance and c.cleared_at is null;
    for x in
        update tminus.set_aside a
        set readmitted_at = tminus.clock(), readmitted_by = 'tminus', note = 'The instance had not crashed: it was declared dead, and lived.'
        where a.instance_id = p_instance and a.readmitted_at is null
        returning a.script_id
    loop
        update tminus.scheduled_scripts u set status_reason = null where u.id = x.script_id and u.status_reason like 'set aside: %';
        perform tminus.record('readmitted', 'tminus', x.script_id, null, null, jsonb_build_object('instance', p_instance));
    end loop;
end $$;

-- What was noted against a script is over: it was edited, readmitted, or went through.
create function tminus.clear_crashes(p_script uuid) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$ update tminus.crashes c set cleared_at = tminus.clock() where c.script_id = p_script and c.cleared_at is null $$;

-- Let a scheduled script that was set aside run again, with a note that says why it will not happen again. `by` is the person, or null
-- for the caller: the author, an approver, or a gateway. Returns the scheduled script as the API shows it.
create function tminus.readmit(id uuid, note text, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(readmit.by);
    the_note text := tminus.required_note(readmit.note);
begin
    s := tminus.lock_script(readmit.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not readmit it', s.id, s.created_by, who using errcode = 'insufficient_privilege';
    end if;
    update tminus.set_aside a
    set readmitted_at = tminus.clock(), readmitted_by = who, note = the_note
    where a.script_id = s.id and a.readmitted_at is null;
    if not found then
        raise exception 'scheduled script % is not set aside', s.id using errcode = 'object_not_in_prerequisite_state';
    end if;
    perform tminus.clear_crashes(s.id);
    update tminus.scheduled_scripts u set status_reason = null where u.id = s.id;
    perform tminus.record('readmitted', who, s.id, null, null, jsonb_build_object('note', the_note));
    perform pg_notify('tminus', 'launch');
    return tminus.scheduled_script(s.id);
end $$;

create function tminus.readmit_edited() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update tminus.set_aside a
    set readmitted_at = tminus.clock(), readmitted_by = new.updated_by, note = 'It was edited.'
    where a.script_id = new.id and a.readmitted_at is null;
    perform tminus.clear_crashes(new.id);
    return null;
end $$;
create trigger readmit after update on tminus.scheduled_scripts for each row
    when (new.updated_at is distinct from old.updated_at)
    execute function tminus.readmit_edited();

grant select on tminus.crashes, tminus.set_aside to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.readmit(uuid, text, text) to tminus_author, tminus_approver, tminus_gateway;
grant execute on function tminus.disclaim_crashes(uuid) to tminus_daemon;
grant execute on function tminus.knows_start(text, text), tminus.note_lost_starts(text, bigint[], text[], uuid[], text[], timestamptz[]),
    tminus.recall_lost_starts(uuid, bigint[]), tminus.settle_instance(uuid), tminus.refuse_spent(uuid, bigint, text, timestamptz, uuid)
    to tminus_daemon;

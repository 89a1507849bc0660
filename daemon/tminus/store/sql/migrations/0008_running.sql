-- How site runs are taken, given back, taken over and settled, and what they leave. The daemon alone calls these.

-- Take up to p_capacity pending site runs for this instance, sharing places fairly among the launches that wait, and what waits
-- among the instances that live: a first look takes its share, and the next one of what the others have left. No row:
-- nothing is pending that it can serve, every router is busy or frozen, each launch is at its own cap, all is paused, or the instance
-- may not start anything. `p_jump_hosts` names those that have a place for one site more, `p_places` how many; sites behind others wait.
-- Returns the rows as they are after the claim: a statement that joined them itself would look at an older snapshot, and
-- miss what was inserted while this function waited.
create function tminus.claim_site_runs(p_instance uuid, p_capacity integer, p_jump_hosts text[] default '{}', p_places integer[] default '{}')
    returns table (run tminus.site_runs, site tminus.sites)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    me tminus.instances;
    alone record;
    closed record;
    sharers integer;
    capped uuid[];
    held_tags text[];
    full_tags text[];
    free_tags text[];
    free_places integer[];
    taken bigint[];
begin
    if tminus.living_state(p_instance) is distinct from 'alive' or p_capacity < 1 or tminus.is_held_back() then
        return;
    end if;
    select * into me from tminus.instances where id = p_instance;
    alone := tminus.choose_alone(me, p_jump_hosts);
    if alone.barred is null then
        return;
    end if;
    closed := tminus.closed_now();
    select count(*) into sharers from tminus.instances i where i.state = 'alive' and i.heartbeat_at + i.ttl > tminus.clock();
    if sharers > 1 then
        select least(p_capacity, greatest(ceil(count(*)::numeric / sharers), 1)) into p_capacity
        from (
            select from tminus.launches l
            join tminus.site_runs r on r.launch_id = l.id and r.state = 'pending' and r.position <= l.open_to
            where l.finished_at is null and l.state = 'running' and l.paused_at is null
            limit p_capacity * sharers
        ) waiting;
    end if;
    -- Who counts the places of a capped launch holds its row; the count below is a new snapshot, so it sees what others
    -- took. Whatever is locked here and below is left to its holder: nobody's open transaction may stop the claims.
    select array_agg(c.id) into capped
    from (
        select l.id from tminus.launches l
        where l.finished_at is null and l.state = 'running' and l.paused_at is null and l.max_concurrency is not null
        for no key update skip locked
    ) c;
    -- The same for the capped tags: one claim at a time counts the places of a tag.
    if exists (select from tminus.tag_caps) then
        select array_agg(h.tag) into held_tags from (select t.tag from tminus.tag_caps t for no key update skip locked) h;
        select array_agg(u.tag) filter (where not u.is_free), array_agg(u.tag) filter (where u.is_free),
            array_agg(u.max_running - u.running) filter (where u.is_free)
        into full_tags, free_tags, free_places
        from (select t.*, t.running < t.max_running and t.tag = any (coalesce(held_tags, '{}')) as is_free from tminus.tag_use() t) u;
    end if;
    for attempt in 1..3 loop
        begin
            with waiting as (
                select l.id, l.due_at, l.open_to, l.kind = 'rehearsal' as rehearsal, l.kind = 'test' as of_test, l.start_within, l.site_timeout,
                    -- What settle_pending would end is not started by who comes back after a long time and looks first.
                    l.start_until >= tminus.clock() or exists (select from tminus.site_runs o
                        where o.launch_id = l.id and o.finished_at is null and o.state = 'running' and o.instance_id is not null) as goes_on,
                    case when l.max_concurrency is null then p_capacity else least(p_capacity, l.max_concurrency - (
                        select count(*) from tminus.site_runs r where r.launch_id = l.id and r.finished_at is null and r.state = 'running')) end as places
                from tminus.launches l
                where l.finished_at is null and l.state = 'running' and l.paused_at is null and (l.max_concurrency is null or l.id = any (capped))
                    and (l.kind = 'rehearsal' or not closed.everywhere and tminus.is_any_open(l.windows))
                    and coalesce(l.stop_starting_at > tminus.clock(), true)
                    and coalesce(l.authorization_expires_at > tminus.clock(), true)
                    and case when alone.only_script is null then l.script_id <> all (alone.barred) else l.script_id = alone.only_script end
            ),
            candidates as materialized (
                -- A rehearsal waits for whatever is to be done.
                select c.id, c.site_id, w.due_at, w.rehearsal, w.id as launch_id, row_number() over (partition by w.id order by c.position) as rank,
                    row_number() over (partition by c.site_id order by w.rehearsal, w.due_at, w.id) as site_rank,
                    (select s.jump_host from tminus.sites s where s.id = c.site_id) as jump_host,
                    case
                        when c.turn_at is not null then c.turn_at + w.start_within >= tminus.clock()
                        when c.due_at is not null then not tminus.turn_is_over(w.id, c.due_at, w.start_within)
                        else w.goes_on end as in_time
                from waiting w
                cross join lateral (
                    select r.id, r.site_id, r.position, r.turn_at, r.due_at
                    from tminus.site_runs r
                    where r.launch_id = w.id and r.state = 'pending' and r.position <= w.open_to and (r.not_before is null or r.not_before <= tminus.clock())
                        -- A scalar, and `offset`: looked up for each, not joined with all sites or with all that are running.
                        and (not w.of_test or r.site_id = any (me.test_sites))
                        and (select tminus.can_serve(me, s) and (s.jump_host is null or s.jump_host = any (p_jump_hosts))
                                and (w.rehearsal or not s.tags && closed.tags)
                                and (full_tags is null or not s.tags && full_tags)
                            from tminus.sites s where s.id = r.site_id)
                        and not exists (select from tminus.site_runs o where o.site_id = r.site_id and o.state = 'running' offset 0)
                        and (w.rehearsal or not exists (select from tminus.busy_sites b where b.site_id = r.site_id and b.free_at is null offset 0))
                        and (not w.rehearsal or (w.site_timeout, r.site_id) not in (select n.site_timeout, n.site_id from tminus.not_to_be_held() n))
                        and not exists (select from tminus.lost_starts x where x.launch_id = r.launch_id and x.site_id = r.site_id offset 0)
                    order by r.position
                    limit greatest(w.places, 0)
                    for no key update of r skip locked
                ) c
            ),
            placed as (
                select c.*, row_number() over (partition by c.jump_host order by c.rehearsal, c.rank, c.due_at, c.launch_id) as jump_rank
                from candidates c
                where c.site_rank = 1 and c.in_time
            ),
            tagged as (
                -- The first of all has a place with each of its tags, so something is always taken up.
                select c.id, t.places, row_number() over (partition by t.tag order by c.rehearsal, c.rank, c.due_at, c.launch_id) as rank
                from placed c
                join tminus.sites s on s.id = c.site_id
                join unnest(free_tags, free_places) as t (tag, places) on t.tag = any (s.tags)
                where free_tags is not null
            ),
            chosen as materialized (
                select c.id
                from placed c
                left join unnest(p_jump_hosts, p_places) as j (name, places) on j.name = c.jump_host
                where (c.jump_host is null or c.jump_rank <= j.places)
                    and (free_tags is null or not exists (select from tagged t where t.id = c.id and t.rank > t.places))
                order by c.rehearsal, c.rank, c.due_at, c.launch_id
                limit p_capacity
            ),
            claimed as (
                update tminus.site_runs r
                set state = 'running', step = 'connecting', instance_id = p_instance, attempts = r.attempts + 1, started_at = tminus.clock(),
                    -- Known before the first byte is sent, so that whoever finds this run abandoned can take its file away.
                    -- The first digit keeps the files of rehearsals, which nobody has to authorize, apart from those that are started.
                    nonce = case when r.rehearsal then '0' else '1' end || left(replace(gen_random_uuid()::text, '-', ''), 15),
                    turn_at = coalesce(r.turn_at, tminus.clock()), not_before = null
                from chosen c
                where r.id = c.id and r.state = (select 'pending')  -- by its primary key, see note_steps.sql
                returning r.id, r.launch_id
            ),
            moved_on as (
                update tminus.launches l
                set start_until = tminus.clock() + l.start_within
                where l.id in (
                    select m.id from tminus.launches m where m.id in (select c.launch_id from claimed c) for no key update skip locked)
            )
            select array_agg(c.id) into taken from claimed c;
            exit;
        exception when unique_violation or deadlock_detected then
            taken := null;  -- another instance took the same router for another launch; it is seen at the next look
        end;
    end loop;
    return query
        select r, s
        from tminus.site_runs r
        join tminus.sites s on s.id = r.site_id
        where r.id = any (taken)
        order by r.launch_id, r.position;
end $$;

-- End the pending site runs that may no longer start: their launch was cancelled or halted while they were given back,
-- their own turn is over, no site may start any more (stop_starting_at, or the authorization expired), or their launch has stood still (no daemon served it, or the router was busy) for start_within.
-- A site that no living daemon can serve, or whose time passed in a freeze or outside of its windows, is missed, whatever was met there before: nobody looks at it any more.
-- Returns how many.
create function tminus.settle_pending() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    settled integer;
begin
    update tminus.site_runs r
    set state = case when late.reason in ('offline', 'connection_lost', 'timed_out') then 'failed' else 'skipped' end,
        reason = late.reason, effect = 'none', finished_at = tminus.clock(),
        message = case late.reason
            when 'cancelled' then 'Cancelled before it was started.'
            when 'halted' then 'Not started: the launch was halted.'
            when 'missed' then case
                when late.is_lost then 'Not started again: it was started here before the database was set back.'
                when (select tminus.is_paused()) then 'Not started: all was paused, since the database was set back.'
                when late.is_aside then 'Not started: the script was set aside, since the daemon died three times while it ran it.'
                when late.is_stopped then 'Not started before ' || tminus.api_time(late.stop_starting_at) || ', where its starts were to end (stop_starting_at).'
                    || coalesce(' Before that: ' || late.closed || '.', '')
                when late.is_expired then 'Not started before the authorization expired, at ' || tminus.api_time(late.authorization_expires_at) || '.'
                    || coalesce(' Before that: ' || late.closed || '.', ' Before that: ' || left(r.message, 900), '')
                when late.closed is not null then
                'Not started within ' || late.start_within || ': ' || late.closed || '.' || coalesce(' Before that: ' || left(r.message, 900), '')
                -- What came first may have ended a moment ago, or never have begun.
                when r.rehearsal and late.unserved is null and late.capped is null then
                'Not rehearsed within ' || late.start_within || ': what was to be done on this site went first, or no daemon had a place for it.'
                else
                'Not started: no daemon served this site within ' || late.start_within
                || coalesce('; ' || late.unserved, '; ' || late.capped, '') || '.' || coalesce(' Before that: ' || left(r.message, 900), '') end
            when 'busy' then case
                when late.in_the_way_of is not null then 'Not rehearsed, since it could have been in the way: ' || late.in_the_way_of || ' on this site.'
                else 'Not started: another script was running on this router for ' || late.start_within || '.' end
            else coalesce(r.message, 'Gave up after ' || late.start_within || '.') end
    from (
        select p.id, l.start_within, exists (select from tminus.lost_starts x where x.launch_id = l.id and x.site_id = p.site_id) as is_lost,
            tminus.is_set_aside(l.script_id) as is_aside,
            (select tminus.why_unserved(s) from tminus.sites s where s.id = p.site_id) as unserved,
            w.closed, l.stop_starting_at, l.stop_starting_at <= tminus.clock() as is_stopped,
            l.authorization_expires_at, l.authorization_expires_at <= tminus.clock() as is_expired,
            (select tminus.why_capped(s.tags) from tminus.sites s where s.id = p.site_id) as capped,
            w.in_the_way_of,
            case when l.state in ('cancelled', 'halted') then l.state
                when (select tminus.why_unserved(s) is not null from tminus.sites s where s.id = p.site_id) or w.closed is not null or l.is_over then 'missed'
                when p.retry_reason is not null then p.retry_reason
                when w.in_the_way_of is not null or exists (select from tminus.site_runs o where o.site_id = p.site_id and o.state = 'running')
                    or exists (select from tminus.busy_sites b where b.site_id = p.site_id and b.free_at is null) then 'busy'
                else 'missed' end as reason
        from (
            -- Once for each launch, since its pending sites are many: whether one of them can be late at all (the time of none
            -- begins before its launch was due and made), and whether the launch stands still.
            select q.*, q.start_until < tminus.clock() and not exists (
                    select from tminus.site_runs o where o.launch_id = q.id and o.finished_at is null and o.state = 'running' and o.instance_id is not null
                ) as stands_still,
                coalesce(q.stop_starting_at <= tminus.clock(), false) or coalesce(q.authorization_expires_at <= tminus.clock(), false) as is_over
            from tminus.launches q
            where q.finished_at is null
                and (q.state in ('cancelled', 'halted') or q.stop_starting_at <= tminus.clock() or q.authorization_expires_at <= tminus.clock()
                    or least(q.due_at, q.started_at) + q.start_within < tminus.clock()
                    or q.local_time is not null)
            offset 0
        ) l
        join tminus.site_runs p on p.launch_id = l.id and p.state = 'pending'
        -- As it was at the last moment at which it could have started.
        cross join lateral (
            select case when not p.rehearsal then (
                select tminus.why_closed(s.tags, l.windows,
                    least(tminus.clock(), coalesce(p.turn_at + l.start_within, p.due_at + l.start_within, l.start_until)) - interval '1 microsecond')
                from tminus.sites s where s.id = p.site_id) end as closed,
                case when p.rehearsal then tminus.missed_for_rehearsal(p.site_id, l.site_timeout) end as in_the_way_of
            offset 0
        ) w
        where l.state in ('cancelled', 'halted')
            or l.is_over
            -- Not while a person holds the launch, nor before the wave of the site was opened: its turn has not come.
            or l.paused_at is null and p.position <= l.open_to and (p.turn_at + l.start_within < tminus.clock()
                or p.turn_at is null and p.due_at is not null and tminus.turn_is_over(l.id, p.due_at, l.start_within)
                or p.turn_at is null and p.due_at is null and l.stands_still)
        for update of p skip locked
    ) late
    where r.id = late.id and r.state = 'pending';
    get diagnostics settled = row_count;
    return settled;
end $$;

-- Settle site runs that nobody runs any more: those before their point of no return are pending again, and the file that
-- may lie on the router becomes a debt; those past it lose their owner and wait to be resolved. The caller holds the rows.
create function tminus.abandon(p_runs bigint[], out released integer, out orphaned integer)
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into tminus.cleanup_debts (site_id, site_run_id, file_name, next_try_at)
    select r.site_id, r.id, 'tminus-' || r.nonce || '.rsc', tminus.clock() + interval '1 minute'
    from tminus.site_runs r
    where r.id = any (p_runs) and r.executing_at is null and r.nonce is not null
    on conflict (site_run_id, file_name) do nothing;
    with settled as (
        update tminus.site_runs r
        set state = case when r.executing_at is null then 'pending' else 'running' end,
            step = case when r.executing_at is null then null else 'verifying' end,
            instance_id = null, not_before = null
        where r.id = any (p_runs) and r.state = 'running'
        returning r.executing_at is null as startable
    )
    select count(*) filter (where startable), count(*) filter (where not startable) into released, orphaned from settled;
    if released > 0 or orphaned > 0 then
        perform pg_notify('tminus', 'launch');
    end if;
end $$;

-- Settle site runs that are this instance's by the database and that it does not know: a claim whose answer was lost, or
-- one that could not be given back while the database was away.
create function tminus.sweep(p_instance uuid, p_known bigint[], out released integer, out orphaned integer)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    select a.released, a.orphaned
    from tminus.abandon(array(
        select r.id from tminus.site_runs r
        where r.instance_id = p_instance and r.finished_at is null and r.state = 'running' and r.id <> all (p_known)
        for no key update skip locked)) a
$$;

-- Declare dead whoever has not been heard of for its ttl, and settle what it, or an instance that stopped, left behind:
-- site runs before their point of no return are pending again; those past it lose their owner and wait to be resolved.
-- An instance that is about to commit a start, and a run that is about to be written, are left to the next call.
create function tminus.reap(out dead integer, out released integer, out orphaned integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    gone uuid[];
begin
    with died as (
        update tminus.instances i
        set state = 'dead', ended_at = tminus.clock()
        where i.id in (
            select q.id from tminus.instances q
            where q.state in ('alive', 'draining') and q.heartbeat_at + q.ttl < tminus.clock()
            for update skip locked)
        returning i.id, i.name
    ), told as (
        insert into tminus.events (kind, principal, detail) select 'instance_dead', died.name, jsonb_build_object('instance', died.id) from died
    )
    select array_agg(d.id) into gone from died d;
    dead := coalesce(cardinality(gone), 0);
    if dead > 0 then
        perform tminus.note_crashes(gone);
    end if;
    select a.released, a.orphaned into released, orphaned
    from tminus.abandon(array(
        select r.id
        from tminus.site_runs r
        join tminus.instances i on i.id = r.instance_id
        where i.state in ('stopped', 'dead') and r.finished_at is null and r.state = 'running'
        for no key update of r skip locked)) a;
    if exists (select from tminus.set_aside where readmitted_at is null) then
        perform tminus.end_set_aside();
    end if;
end $$;

-- Take over the resolution of runs whose instance died past their point of no return. Rows as after the claim. Who cannot
-- serve a site leaves it, for start_within, to who can; then it is taken by anyone, since every site ends.
create function tminus.claim_orphans(p_instance uuid, p_limit integer) returns table (run tminus.site_runs, site tminus.sites)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    me tminus.instances;
    alone record;
    taken bigint[];
begin
    if tminus.living_state(p_instance) is distinct from 'alive' then
        return;
    end if;
    select * into me from tminus.instances where id = p_instance;
    alone := tminus.choose_alone(me, me.jump_hosts);
    if alone.barred is null then
        return;
    end if;
    with chosen as materialized (
        select q.id
        from tminus.site_runs q
        join tminus.launches l on l.id = q.launch_id
        join tminus.sites s on s.id = q.site_id
        where q.state = 'running' and q.instance_id is null
            and (tminus.can_serve(me, s) or q.executing_at + l.start_within < tminus.clock())
            and case when alone.only_script is null then l.script_id <> all (alone.barred) else l.script_id = alone.only_script end
        order by q.executing_at
        limit p_limit
        for no key update of q skip locked
    ), claimed as (
        update tminus.site_runs r
        set instance_id = p_instance
        from chosen c
        where r.id = c.id and r.state = (select 'running') and r.instance_id is null
        returning r.id
    )
    select array_agg(c.id) into taken from claimed c;
    return query
        select r, s
        from tminus.site_runs r
        join tminus.sites s on s.id = r.site_id
        where r.id = any (taken)
        order by r.executing_at;
end $$;

-- Evidence that came after the ending, or to an instance that no longer owns the run: kept, and changes no state.
create function tminus.keep_late_evidence(p_site_run bigint, p_instance uuid, p_detail jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
    select 'late_evidence', p_instance::text, l.script_id, r.launch_id, r.site_id, p_detail || jsonb_build_object('site_run', r.id, 'state', r.state)
    from tminus.site_runs r
    join tminus.launches l on l.id = r.launch_id
    where r.id = p_site_run
$$;

-- No job runs the script of a resolved run any more, as a person asked with their verdict. Arguments: the debt, the instance that
-- saw it, and how many jobs it stopped.
create function tminus.note_job_stopped(p_debt bigint, p_instance uuid, p_stopped integer) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with noted as (
        update tminus.cleanup_debts d
        set job_stopped_at = tminus.clock(), jobs_stopped = p_stopped
        where d.id = p_debt and d.stop_job_by is not null and d.job_stopped_at is null and d.settled_at is null
        returning d.site_run_id, d.stop_job_by
    )
    insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
    select 'job_stopped', p_instance::text, l.script_id, r.launch_id, r.site_id,
        jsonb_build_object('site_run', r.id, 'asked_by', n.stop_job_by, 'jobs', p_stopped)
    from noted n
    join tminus.site_runs r on r.id = n.site_run_id
    join tminus.launches l on l.id = r.launch_id
$$;

-- A fact about a site that people should be able to look up: a key accepted at first sight, a changed key, a new identity.
create function tminus.record_site_event(p_kind text, p_instance uuid, p_site text, p_detail jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$ select tminus.record(p_kind, p_instance::text, null, null, p_site, p_detail) $$;

-- Store exports whose texts are stored and held (hold_texts.sql). Arrays of one length, an element a backup: site run, phase,
-- SHA-256, header, the size as the router sent it, and the id of the text with secrets, or null.
create function tminus.store_backups(p_runs bigint[], p_phases text[], p_sha256 bytea[], p_headers text[], p_raw_bytes integer[], p_sensitive bigint[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into tminus.backups (site_id, launch_id, site_run_id, phase, sha256, header, raw_bytes, sensitive_id)
    select r.site_id, r.launch_id, r.id, b.phase, b.sha256, b.header, b.raw_bytes, b.sensitive_id
    from unnest(p_runs, p_phases, p_sha256, p_headers, p_raw_bytes, p_sensitive) as b (site_run_id, phase, sha256, header, raw_bytes, sensitive_id)
    join tminus.site_runs r on r.id = b.site_run_id
    on conflict (site_run_id, phase) do update
    set sha256 = excluded.sha256, header = excluded.header, raw_bytes = excluded.raw_bytes, sensitive_id = excluded.sensitive_id,
        taken_at = tminus.clock();
end $$;

-- How a wish becomes a launch, or is missed, and how a launch ends. The daemon alone calls these.

-- The state of an instance that may start something: alive or draining, and heard of within its ttl. Null: it may not.
-- Held so until the end of the transaction: who declares it dead takes FOR UPDATE, its own heartbeats do not wait.
create function tminus.living_state(p_instance uuid) returns text
language sql set search_path = pg_catalog, pg_temp
as $$
    select i.state
    from tminus.instances i
    where i.id = p_instance and i.state in ('alive', 'draining') and i.heartbeat_at + i.ttl > tminus.clock()
    for key share
$$;

-- Scheduled scripts whose time has come, or whom a person has start now, locked for this transaction. No row: nothing is due, another has it, or all is
-- paused.
create function tminus.due_scripts(p_limit integer) returns setof tminus.scheduled_scripts
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select s.*
    from tminus.scheduled_scripts s
    where s.status = 'scheduled' and s.run_now_at is not null and tminus.clock() <= s.run_now_at + s.start_within
        and (s.authorization_expires_at is null or s.authorization_expires_at > tminus.clock())
        and not (select tminus.is_held_back()) and not tminus.is_set_aside(s.id)
    order by s.run_now_at
    limit p_limit
    for update skip locked;
    return query
    select s.*
    from tminus.scheduled_scripts s
    where s.status = 'scheduled' and s.run_now_at is null and s.launch_at <= tminus.clock() and tminus.clock() <= s.launch_at + s.start_within
        and (s.authorization_expires_at is null or s.authorization_expires_at > tminus.clock())
        and not (select tminus.is_held_back()) and not tminus.is_set_aside(s.id)
    order by s.launch_at
    limit p_limit
    for update skip locked;
end $$;

-- What was signed to have a scheduled script run now, as an authorization; null: nothing was.
create function tminus.signed_run_now(s tminus.scheduled_scripts) returns bigint
language sql stable set search_path = pg_catalog, pg_temp
as $$ select max(a.id) from tminus.authorizations a where a.launch_id = s.run_now_launch and a.act = 'run_now' $$;

-- Make a launch of a due scheduled script, which the same transaction has locked, recomputed and compared. Null where it
-- is not due any more, had this occurrence already (the clock was set back), overlaps, the instance is dead, or all is paused. `p_next` is
-- the occurrence after this one, for cron.
create function tminus.launch(p_script uuid, p_instance uuid, p_next timestamptz default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    a tminus.authorizations;
    the_launch uuid;
    the_waves integer[];
    is_overlap boolean;
    due timestamptz;
begin
    s := tminus.lock_script(p_script);
    due := coalesce(s.run_now_at, s.launch_at);
    if s.status <> 'scheduled' or due is null or due > tminus.clock() or tminus.clock() > due + s.start_within
        or s.authorization_expires_at <= tminus.clock()
        or tminus.living_state(p_instance) is null or tminus.is_held_back() then
        return null;
    end if;
    -- What was signed to have it run now is an authorization of its own, of this launch.
    select * into a from tminus.authorizations where id = coalesce(tminus.signed_run_now(s), s.authorization_id);
    if exists (select from tminus.launches l where l.id = s.run_now_launch) then
        perform tminus.refuse_launch(s.id, 'launch ' || s.run_now_launch || ', as which it was to run now, exists already');
        return null;
    end if;
    is_overlap := (s.cron is not null or s.run_now_at is not null) and tminus.is_under_way(s.id);
    if is_overlap then
        perform tminus.insert_missed_launch(s, 'overlap', 'The previous launch was still running.', due);
    else
        the_waves := tminus.wave_ends(s.wave_sizes, cardinality(s.sites));
        insert into tminus.launches (id, script_id, due_at, started_at, start_until, description, script, sites, make_backup,
            abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
            wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline,
            guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, windows, local_time, stop_starting_at, missed_policy, until, max_launches, post_checks,
            waves, open_to, digest, authorization_id, authorized_by, authorization_expires_at, run_now_by, created_by)
        values (coalesce(s.run_now_launch, gen_random_uuid()), s.id, due, tminus.clock(), tminus.clock() + s.start_within, s.description, s.script, s.sites, s.make_backup,
            s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached, s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone,
            s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
            s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches, s.post_checks,
            cardinality(the_waves), case cardinality(the_waves) when 1 then 2147483647 else the_waves[1] end, a.digest, a.id, s.authorized_by, a.expires_at, s.run_now_by, s.created_by)
        on conflict (script_id, due_at) where kind = 'scheduled' do nothing
        returning id into the_launch;
    end if;
    if the_launch is not null then
        insert into tminus.site_runs (launch_id, site_id, position, wave, site_digest, due_at, not_before)
        select the_launch, u.site_id, u.position, width_bucket(u.position - 1, the_waves) + 1, u.site_digest, local.moment, local.moment
        from tminus.in_wave_order(s.sites, a.site_digests, s.wave_order) u
        left join (
            -- Each zone once.
            select t.id, z.moment
            from (
                select y.timezone, tminus.local_instant(s.local_time, y.timezone) as moment
                from (select distinct x.timezone from tminus.sites x where x.id = any (s.sites)) y
                offset 0
            ) z
            join tminus.sites t on t.timezone = z.timezone and t.id = any (s.sites)
            where s.local_time is not null and s.run_now_at is null
        ) local on local.id = u.site_id;
        perform tminus.record('launched', 'tminus', s.id, the_launch, null,
            jsonb_strip_nulls(jsonb_build_object('instance', p_instance, 'due_at', due, 'sites', cardinality(s.sites), 'run_now_by', s.run_now_by)));
        perform pg_notify('tminus', 'launch');
    end if;
    update tminus.scheduled_scripts u
    set status = case when s.cron is null then 'launched' else 'scheduled' end,
        -- Without a next one the daemon plans it, or ends the rule.
        launch_at = case when s.cron is null then s.launch_at when tminus.is_spent(s) then null when s.run_now_at is null then p_next else s.launch_at end,
        run_now_at = null,
        run_now_by = null,
        run_now_launch = null,
        started_at = case when the_launch is null then s.started_at else tminus.clock() end,
        finished_at = case when the_launch is null then s.finished_at end
    where u.id = s.id;
    return the_launch;
end $$;

-- An occurrence that was not started: a launch in which every site is skipped/missed.
create function tminus.insert_missed_launch(s tminus.scheduled_scripts, p_reason text, p_message text, p_due timestamptz default null) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    the_launch uuid;
    due timestamptz := coalesce(p_due, s.launch_at);
begin
    insert into tminus.launches (script_id, state, reason, due_at, finished_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
        wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline,
        guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, windows, local_time, stop_starting_at, missed_policy, until, max_launches, post_checks,
        authorized_by, run_now_by, created_by)
    values (s.id, 'missed', p_reason, due, tminus.clock(), due + s.start_within, s.description, s.script, s.sites, s.make_backup,
        s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached, s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone,
        s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
        s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches, s.post_checks,
        s.authorized_by, s.run_now_by, s.created_by)
    on conflict (script_id, due_at) where kind = 'scheduled' do nothing
    returning id into the_launch;
    if the_launch is null then
        return;
    end if;
    insert into tminus.site_runs (launch_id, site_id, position, state, reason, effect, message, finished_at)
    select the_launch, site_id, position, 'skipped', 'missed', 'none', p_message, tminus.clock()
    from unnest(s.sites) with ordinality as u (site_id, position);
    perform tminus.record('launch_missed', 'tminus', s.id, the_launch, null, jsonb_build_object('reason', p_reason, 'due_at', due));
end $$;

-- Settle what could not start in time. One-shots end as cancelled by tminus; a cron row loses one occurrence and waits for
-- the daemon to plan the next. Returns how many.
create function tminus.settle_late(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    settled integer := 0;
    why text;
    message text;
begin
    settled := tminus.settle_late_run_now(p_limit);
    for s in
        select q.*
        from (
            -- Each by its own partial index.
            (select i.id, i.status from tminus.scheduled_scripts i
             where i.status = 'scheduled' and i.run_now_at is null and i.launch_at < tminus.clock() and i.launch_at + i.start_within < tminus.clock()
             order by i.launch_at limit p_limit)
            union all
            (select i.id, i.status from tminus.scheduled_scripts i
             where i.status = 'unauthorized' and i.launch_at < tminus.clock() and i.launch_at + i.start_within < tminus.clock()
             order by i.launch_at limit p_limit)
        ) late
        -- Once more what is asked of it, for a row that was launched or edited just now.
        join tminus.scheduled_scripts q on q.id = late.id and q.status = late.status and q.launch_at + q.start_within < tminus.clock() and q.run_now_at is null
        for update of q skip locked
    loop
        why := case s.status when 'scheduled' then 'missed' else 'not_authorized' end;
        message := case
            when tminus.is_set_aside(s.id) then 'Missed: it was set aside, since the daemon died three times while it ran it.'
            when s.status = 'scheduled' then 'Missed: no daemon could start it within ' || s.start_within || ' of ' || tminus.api_time(s.launch_at) || '.'
            else 'Missed: not authorized before ' || tminus.api_time(s.launch_at) || '.' end;
        if s.cron is null then
            perform tminus.insert_missed_launch(s, why, message);
            update tminus.scheduled_scripts u
            set status = 'cancelled', status_reason = message, cancelled_at = tminus.clock(), cancelled_by = 'tminus', finished_at = tminus.clock()
            where u.id = s.id;
            perform tminus.record('cancelled', 'tminus', s.id, null, null, jsonb_build_object('was', s.status, 'reason', why));
        else
            if s.status = 'scheduled' then
                perform tminus.insert_missed_launch(s, why, message);
                -- started_at is the latest launch's, and this one was not started.
                if not tminus.is_under_way(s.id) then
                    s.started_at := null;
                    s.finished_at := tminus.clock();
                end if;
            end if;
            update tminus.scheduled_scripts u set launch_at = null, started_at = s.started_at, finished_at = s.finished_at where u.id = s.id;
        end if;
        settled := settled + 1;
    end loop;
    return settled;
end $$;

-- Whether a cron row has made all the launches that it may.
create function tminus.is_spent(s tminus.scheduled_scripts) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select s.max_launches is not null and s.max_launches <= (
        select count(*) from tminus.launches l where l.script_id = s.id and l.kind = 'scheduled' and l.state <> 'missed')
$$;

-- Pass by the occurrence of a cron row that is due, for a later one that is due as well: the caller has locked it.
create function tminus.overtake(p_script uuid, p_due timestamptz) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
begin
    s := tminus.lock_script(p_script);
    if s.status = 'scheduled' and s.cron is not null and s.missed_policy = 'run_latest' and s.launch_at < p_due and p_due <= tminus.clock() then
        perform tminus.insert_missed_launch(s, 'missed', 'Missed: it was not started in time, and the occurrence at ' || tminus.api_time(p_due) || ' takes its place.');
        update tminus.scheduled_scripts u set launch_at = p_due where u.id = s.id;
    end if;
end $$;

-- Content that is not what was authorized (it can only differ where somebody went round the triggers), or an authorization that does not
-- count: nothing is run. `p_authorization`: only where this is the one. What was signed to run now is refused by itself: its own time stays.
create function tminus.refuse_launch(p_script uuid, p_reason text, p_authorization bigint default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update tminus.scheduled_scripts u
    set run_now_at = null, run_now_by = null, run_now_launch = null
    where u.id = p_script and u.status = 'scheduled' and p_authorization is null and tminus.signed_run_now(u) is not null;
    if not found then
        update tminus.scheduled_scripts u
        set status = 'unauthorized', status_reason = p_reason, authorization_id = null, authorized_at = null, authorized_by = null,
            authorization_expires_at = null
        where u.id = p_script and u.status = 'scheduled' and (p_authorization is null or u.authorization_id = p_authorization);
    end if;
    if found then
        perform tminus.record('launch_refused', 'tminus', p_script, null, null, jsonb_build_object('reason', p_reason));
    end if;
end $$;

-- The next occurrence of a cron row that has none; null if there will be none, which ends the row.
create function tminus.plan(p_script uuid, p_next timestamptz, p_reason text default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update tminus.scheduled_scripts u
    set launch_at = p_next,
        status = case when p_next is null then 'cancelled' else u.status end,
        status_reason = case when p_next is null then p_reason else u.status_reason end,
        cancelled_at = case when p_next is null then tminus.clock() end,
        cancelled_by = case when p_next is null then 'tminus' end,
        finished_at = case
            when p_next is null and not tminus.is_under_way(u.id) then tminus.clock()
            else u.finished_at end
    where u.id = p_script and u.cron is not null and u.launch_at is null and u.status in ('unauthorized', 'scheduled');
    if found and p_next is null then
        perform tminus.record('cancelled', 'tminus', p_script, null, null, jsonb_build_object('reason', p_reason));
    end if;
end $$;

-- Close every launch whose sites have all ended. Returns how many. What somebody holds (a person may hold a scheduled
-- script for as long as its transaction is open) is closed another time: who writes endings must not wait.
create function tminus.finish_launches() returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    closed integer := 0;
    l record;
begin
    for l in
        select q.id, q.script_id, q.kind
        from tminus.launches q
        join tminus.scheduled_scripts s on s.id = q.script_id
        where q.finished_at is null
            and not exists (select from tminus.site_runs r where r.launch_id = q.id and r.finished_at is null)
        order by q.id
        for no key update of q, s skip locked
    loop
        update tminus.launches u
        set state = case u.state when 'running' then 'finished' else u.state end, finished_at = tminus.clock()
        where u.id = l.id and u.finished_at is null;
        update tminus.scheduled_scripts u set finished_at = tminus.clock() where u.id = l.script_id and u.finished_at is null and l.kind not in ('rehearsal', 'test');
        if exists (select from tminus.crashes c where c.script_id = l.script_id and c.cleared_at is null)
            and not exists (select from tminus.crashes c where c.launch_id = l.id and c.cleared_at is null)
            and exists (select from tminus.site_runs r where r.launch_id = l.id and r.state in ('completed', 'failed') and r.instance_id is not null) then
            perform tminus.clear_crashes(l.script_id);
        end if;
        perform tminus.record('launch_finished', 'tminus', l.script_id, l.id, null,
            (select jsonb_object_agg(state, n) from (select r.state, count(*) as n from tminus.site_runs r where r.launch_id = l.id group by r.state) c));
        closed := closed + 1;
    end loop;
    return closed;
end $$;

-- Launches that have ended and were not told of yet, whoever ended them (a daemon, a person, time); they count as told from
-- here on. `endings` is a JSON array: state, reason and effect, how many site runs ended so, whether a daemon wrote these
-- endings (and told of each then), and the first sites of those it did not. No row: all are told, or another tells them.
create function tminus.tell_launches(p_limit integer) returns table (id uuid, script_id uuid, kind text, state text, reason text, description text,
    created_by text, authorized_by text, due_at timestamptz, took interval, sites integer, endings json)
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with told as (
        update tminus.launches l
        set told_at = tminus.clock()
        where l.id in (
            select q.id from tminus.launches q
            where q.finished_at is not null and q.told_at is null
            order by q.finished_at
            limit p_limit
            for no key update skip locked)
        returning l.*
    )
    select t.id, t.script_id, t.kind, t.state, t.reason, t.description, t.created_by, t.authorized_by, t.due_at,
        t.finished_at - coalesce(t.started_at, t.finished_at), cardinality(t.sites),
        (select coalesce(json_agg(c order by c.count desc), '[]')
         from (
            select r.state, r.reason, r.effect, count(*), o.told,
                case when o.told then '{}' else (array_agg(r.site_id order by r.position))[1:50] end as sites
            from tminus.site_runs r
            cross join lateral (select r.instance_id is not null as told) o
            where r.launch_id = t.id
            group by r.state, r.reason, r.effect, o.told
         ) c)
    from told t
    order by t.finished_at, t.id
$$;

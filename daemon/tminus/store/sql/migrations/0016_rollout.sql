-- Rollout: where a launch goes first, when its next wave follows, and when it stops. The rules are those of domain/rollout.py, which
-- decides; this file checks what a wish may ask for, and applies what was decided, or what a person wants.

-- Of a scheduled script:
--   wave_sizes            counts or percentages of all its sites, such as {1,10,25%}; what is left is the last wave. Null: one wave.
--   wave_order            tags: sites with an earlier one come first, the others last; among equals the order of `sites` counts
--   wave_pause            how long after the end of a wave the next one begins
--   wave_confirm          a person lets each wave but the first go, tminus.confirm_wave
--   confirm_within        how long a launch waits for a person, there or while it is paused, until it is halted; null: 24 hours
--   max_failures          a count, or a percentage of all sites: with more sites failed or unknown the launch is halted
--   max_failures_in_wave  the same of one wave
--   max_offline           the same for sites that were offline, which are counted here alone

create function tminus.is_amount(value text) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select case when value ~ '^(0|[1-9][0-9]{0,5})%?$' then right(value, 1) <> '%' or rtrim(value, '%')::integer <= 100 else false end $$;

-- The last position of each wave; as domain/rollout.wave_sizes, whose sums these are.
create function tminus.wave_ends(sizes text[], total integer) returns integer[]
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    size text;
    share integer;
    reached integer := 0;
    ends integer[] := '{}';
begin
    foreach size in array coalesce(sizes, '{}') loop
        share := case when right(size, 1) = '%' then ceil(total::numeric * rtrim(size, '%')::integer / 100)::integer else size::integer end;
        share := least(share, total - reached);
        if share > 0 then
            reached := reached + share;
            ends := ends || reached;
        end if;
    end loop;
    return case when reached < total then ends || total else ends end;
end $$;

-- Sites with their digests, in the order in which a launch goes through them.
create function tminus.in_wave_order(site_ids text[], site_digests text[], tags text[])
    returns table (site_id text, site_digest text, "position" integer)
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select u.site_id, u.site_digest, (row_number() over (order by
        case when $3 is not null then
            coalesce((select min(array_position($3, t)) from tminus.sites s cross join unnest(s.tags) as t where s.id = u.site_id), 2147483647)
        end, u.n))::integer
    from unnest(site_ids, site_digests) with ordinality as u (site_id, site_digest, n)
$$;

create function tminus.check_rollout(s tminus.scheduled_scripts) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    wrong text;
    name text;
    value text;
begin
    if s.wave_sizes is not null then
        if array_ndims(s.wave_sizes) > 1 or cardinality(s.wave_sizes) > 100 then
            raise exception 'wave_sizes is a plain list of at most 100 sizes' using errcode = 'check_violation', column = 'wave_sizes';
        end if;
        select coalesce(u.size, 'null') into wrong
        from unnest(s.wave_sizes) as u (size) where tminus.is_amount(u.size) is not true or u.size in ('0', '0%') limit 1;
        if found then
            raise exception 'wave_sizes: % is no size', quote_literal(tminus.printable(wrong))
                using errcode = 'check_violation', column = 'wave_sizes', hint = 'A wave is a count such as 5, or a percentage of all sites such as 10%.';
        end if;
    end if;
    for name, value in values ('max_failures', s.max_failures), ('max_failures_in_wave', s.max_failures_in_wave), ('max_offline', s.max_offline) loop
        if value is not null and not tminus.is_amount(value) then
            raise exception '%: % is neither a count nor a percentage', name, quote_literal(tminus.printable(value))
                using errcode = 'check_violation', column = name, hint = 'Give a count such as 5, or a percentage such as 10%; 0 halts at the first.';
        end if;
    end loop;
    if s.wave_sizes is null and (s.wave_order is not null or s.wave_pause is not null or s.wave_confirm) then
        raise exception 'wave_order, wave_pause and wave_confirm go with wave_sizes' using errcode = 'check_violation', column = 'wave_sizes';
    end if;
    if s.wave_order is not null and (array_ndims(s.wave_order) > 1 or cardinality(s.wave_order) > 100
        or exists (select from unnest(s.wave_order) as t where t is null or t !~ '^[^[:cntrl:],]{1,200}$')) then
        raise exception 'wave_order is a plain list of at most 100 tags of 1 to 200 printable characters, without commas' using errcode = 'check_violation', column = 'wave_order';
    end if;
    if s.wave_pause is not null and s.wave_pause not between interval '0' and interval '168 hours' then
        raise exception 'wave_pause must lie between 0 and 7 days' using errcode = 'check_violation', column = 'wave_pause';
    end if;
    if s.confirm_within is not null and s.confirm_within not between interval '1 minute' and interval '720 hours' then
        raise exception 'confirm_within must lie between 1 minute and 30 days' using errcode = 'check_violation', column = 'confirm_within';
    end if;
end $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- The daemon's. Several may decide at once: each applies to the state that it looked at, or not at all.

-- Open a wave: its sites' turn comes now. Returns whether it was this call that did.
create function tminus.open_wave(p_launch uuid, p_wave integer) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    l tminus.launches;
begin
    update tminus.launches u
    set wave = p_wave, start_until = tminus.clock() + u.start_within,
        open_to = case when p_wave = u.waves then 2147483647
            else (select max(r.position) from tminus.site_runs r where r.launch_id = u.id and r.wave = p_wave) end
    where u.id = p_launch and u.state = 'running' and u.paused_at is null and u.wave = p_wave - 1 and u.waves >= p_wave
    returning u.* into l;
    if not found then
        return false;
    end if;
    perform tminus.record('wave_opened', 'tminus', l.script_id, l.id, null, jsonb_build_object('wave', p_wave, 'waves', l.waves));
    perform pg_notify('tminus', 'wave');
    return true;
end $$;

-- Note that a wave waits for a person. Returns whether it was this call that did, which tells people.
create function tminus.ask_wave(p_launch uuid, p_wave integer) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    script uuid;
begin
    update tminus.launches u set asked_wave = p_wave
    where u.id = p_launch and u.state = 'running' and u.wave = p_wave - 1 and u.asked_wave < p_wave
    returning u.script_id into script;
    if not found then
        return false;
    end if;
    perform tminus.record('wave_asked', 'tminus', script, p_launch, null, jsonb_build_object('wave', p_wave));
    return true;
end $$;

-- Stop a launch: no site starts after this is committed, those that were not started are skipped, started ones finish.
-- `p_wave` is the wave up to which the decision looked; with `p_unattended` it still has to wait for a person. Returns whether it was this call that did.
create function tminus.halt(p_launch uuid, p_wave integer, p_reason text, p_unattended boolean default false) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    l tminus.launches;
begin
    -- Waits for a start that is about to be committed.
    select q.* into l
    from tminus.launches q
    where q.id = p_launch and q.state = 'running' and q.finished_at is null and q.wave = p_wave
        and (not p_unattended or q.paused_at is not null or q.confirmed_wave <= q.wave)
    for update;
    if not found then
        return false;
    end if;
    update tminus.launches u set state = 'halted', reason = p_reason where u.id = l.id;
    update tminus.site_runs r
    set state = 'skipped', reason = 'halted', effect = 'none', message = 'Not started: the launch was halted: ' || p_reason || '.', finished_at = tminus.clock()
    where r.launch_id = l.id and r.state = 'pending';
    perform tminus.record('halted', 'tminus', l.script_id, l.id, null, jsonb_build_object('reason', p_reason, 'wave', l.wave));
    perform tminus.finish_launches();
    perform pg_notify('tminus', 'halted');
    return true;
end $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- People's.

-- The launch of a scheduled script that is under way, locked, for its author or who oversees; or a sentence why not.
create function tminus.lock_launch_of(p_script uuid, p_who text, p_act text) returns tminus.launches
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    l tminus.launches;
begin
    s := tminus.lock_script(p_script);
    if s.created_by <> p_who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not % its launch', s.id, s.created_by, p_who, p_act using errcode = 'insufficient_privilege';
    end if;
    select q.* into l
    from tminus.launches q
    where q.script_id = s.id and q.kind <> 'rehearsal' and q.state = 'running' and q.finished_at is null
    for update;
    if not found then
        raise exception 'no launch of scheduled script % is under way; there is nothing to %', s.id, p_act using errcode = 'object_not_in_prerequisite_state';
    end if;
    return l;
end $$;

-- Let the next wave of a launch go, where it waits for that (wave_confirm). `wave` is its number, so that a second call does
-- not let the one after it go too. `by` is the person, or null for the caller: the author, an approver, or a gateway.
create function tminus.confirm_wave(id uuid, wave integer, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    l tminus.launches;
    who text := tminus.principal(confirm_wave.by);
begin
    l := tminus.lock_launch_of(confirm_wave.id, who, 'confirm');
    if not l.wave_confirm then
        raise exception 'the waves of scheduled script % wait for nobody', l.script_id using errcode = 'object_not_in_prerequisite_state';
    elsif confirm_wave.wave is distinct from l.wave + 1 or l.wave = l.waves then
        raise exception 'wave % of scheduled script % is not the one that is next: % of % are open', confirm_wave.wave, l.script_id, l.wave, l.waves
            using errcode = 'object_not_in_prerequisite_state';
    elsif exists (select from tminus.site_runs r where r.launch_id = l.id and r.wave = l.wave and r.finished_at is null) then
        raise exception 'wave % of scheduled script % has not ended yet', l.wave, l.script_id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Look at how it ended, then confirm the next.';
    end if;
    update tminus.launches u set confirmed_wave = confirm_wave.wave where u.id = l.id;
    perform tminus.record('wave_confirmed', who, l.script_id, l.id, null, jsonb_build_object('wave', confirm_wave.wave));
    perform pg_notify('tminus', 'wave');
    return tminus.scheduled_script(l.script_id);
end $$;

-- Hold a launch that is under way: what was not started is given back and waits, started sites finish. No site starts after this is
-- committed. What nobody resumes within confirm_within is halted. `by` is the person, or null for the caller.
create function tminus.pause_launch(id uuid, note text, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    l tminus.launches;
    who text := tminus.principal(pause_launch.by);
    the_note text := tminus.required_note(pause_launch.note);
begin
    l := tminus.lock_launch_of(pause_launch.id, who, 'pause');
    if l.paused_at is not null then
        raise exception 'the launch of scheduled script % is paused already, by % at %', l.script_id, l.paused_by, tminus.api_time(l.paused_at)
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    update tminus.launches u set paused_at = tminus.clock(), paused_by = who, pause_note = the_note where u.id = l.id;
    perform tminus.record('launch_paused', who, l.script_id, l.id, null, jsonb_build_object('note', the_note));
    perform pg_notify('tminus', 'paused');
    return tminus.scheduled_script(l.script_id);
end $$;

-- Let a paused launch go on. The time that it was paused counts for nobody's start_within. `by` as above.
create function tminus.resume_launch(id uuid, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    l tminus.launches;
    who text := tminus.principal(resume_launch.by);
begin
    l := tminus.lock_launch_of(resume_launch.id, who, 'resume');
    if l.paused_at is null then
        raise exception 'the launch of scheduled script % is not paused', l.script_id using errcode = 'object_not_in_prerequisite_state';
    end if;
    update tminus.launches u
    set paused_at = null, paused_by = null, pause_note = null, start_until = greatest(u.start_until, tminus.clock() + u.start_within)
    where u.id = l.id;
    update tminus.site_runs r
    set turn_at = r.turn_at + (tminus.clock() - l.paused_at), not_before = least(r.not_before, tminus.clock())
    where r.launch_id = l.id and r.state = 'pending' and r.turn_at is not null;
    perform tminus.record('launch_resumed', who, l.script_id, l.id, null,
        jsonb_build_object('paused_by', l.paused_by, 'paused_at', l.paused_at, 'note', l.pause_note));
    perform pg_notify('tminus', 'launch');
    return tminus.scheduled_script(l.script_id);
end $$;

-- Run the content of a launch that has ended once more, on the sites that are safe to repeat: those that failed or were skipped and on
-- which it had no effect. `sites` names others one by one (partly applied, unknown), or only some. That is a decision of an approver, who
-- is neither the author nor the last editor, and it is recorded as one. `launch` may be a retry. Returns the new launch.
create function tminus.retry(launch uuid, only_which text default 'failed_and_not_started', sites text[] default null, by text default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    first tminus.launches;
    s tminus.scheduled_scripts;
    who text := tminus.principal(retry.by);
    wrong text;
    the_sites text[];
    the_launch uuid;
begin
    select q.* into first
    from tminus.launches l join tminus.launches q on q.id = coalesce(l.retry_of, l.id)
    where l.id = retry.launch;
    if not found then
        raise exception 'there is no launch %', retry.launch using errcode = 'no_data_found';
    end if;
    s := tminus.lock_script(first.script_id);
    if not tminus.oversees() then
        raise exception '% is not an approver: only members of tminus_approver have a launch retried', who using errcode = 'insufficient_privilege';
    elsif (select approval from tminus.policy) is distinct from 'off'
        and tminus.folded(who) in (tminus.folded(first.created_by), tminus.folded(s.created_by), tminus.folded(s.updated_by)) then
        raise exception '% is the % of scheduled script %; somebody else has to decide to retry it', who,
            case when tminus.folded(who) not in (tminus.folded(first.created_by), tminus.folded(s.created_by)) then 'last editor' else 'author' end, s.id using errcode = 'insufficient_privilege';
    end if;
    if only_which is distinct from 'failed_and_not_started' then
        raise exception 'a retry is of failed_and_not_started, or of sites that are named, and not of %', coalesce(quote_literal(tminus.printable(only_which)), 'null')
            using errcode = 'check_violation';
    elsif first.kind <> 'scheduled' or first.state not in ('finished', 'halted') then
        raise exception 'launch % is a % that is %; only one that has finished or was halted is retried', first.id, first.kind, first.state
            using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
    elsif first.stop_starting_at <= tminus.clock() then
        raise exception 'no site of launch % may start after % (stop_starting_at); it is not retried', first.id, tminus.api_time(first.stop_starting_at)
            using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
    elsif s.status = 'cancelled' then
        raise exception 'scheduled script % is cancelled (%); it is not retried', s.id, s.status_reason
            using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
    elsif tminus.is_under_way(s.id) then
        raise exception 'a launch of scheduled script % is still under way', s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Wait until it has finished.';
    elsif tminus.is_set_aside(s.id) then
        raise exception 'scheduled script % was set aside; it is not retried', s.id using errcode = 'object_not_in_prerequisite_state',
            hint = 'Use tminus.readmit(id, note) once it is known why the daemon died.';
    end if;
    if sites is null then
        the_sites := array(select r.site_id from tminus.latest_runs(first.id) r
            where r.outcome in ('failed', 'skipped') and coalesce(r.resolved_effect, r.effect) = 'none' order by r.position);
        if cardinality(the_sites) = 0 then
            raise exception 'no site of launch % is safe to repeat', first.id using errcode = 'object_not_in_prerequisite_state',
                hint = 'Sites where it was applied in part, or where that is unknown, are retried only if they are named.';
        end if;
    else
        select coalesce(u.site, 'null') into wrong from unnest(sites) as u (site)
        where not exists (select from tminus.latest_runs(first.id) r where r.site_id = u.site) limit 1;
        if found then
            raise exception '% is no site of launch %', quote_literal(tminus.printable(wrong)), first.id using errcode = 'foreign_key_violation';
        end if;
        select r.site_id into wrong from tminus.latest_runs(first.id) r where r.site_id = any (sites) and r.outcome = 'completed' order by r.position limit 1;
        if found then
            raise exception 'it completed on %; it is not run there again', wrong using errcode = 'object_not_in_prerequisite_state';
        end if;
        the_sites := array(select r.site_id from tminus.latest_runs(first.id) r where r.site_id = any (sites) order by r.position);
        if cardinality(the_sites) = 0 then
            raise exception 'a retry needs at least one site' using errcode = 'check_violation', column = 'sites';
        end if;
    end if;
    insert into tminus.launches (script_id, kind, retry_of, due_at, started_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
        wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline,
        guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables,
        windows, local_time, stop_starting_at, missed_policy, until, max_launches,
        digest, authorization_id, authorized_by, created_by)
    values (s.id, 'retry', first.id, tminus.clock(), tminus.clock(), tminus.clock() + first.start_within, first.description, first.script, the_sites,
        first.make_backup, first.abort_if_offline, first.start_within, first.site_timeout, first.max_concurrency, first.expects_disconnect,
        first.detached, first.test_site_id, first.launch_at, first.cron, first.timezone,
        first.wave_sizes, first.wave_order, first.wave_pause, first.wave_confirm, first.confirm_within, first.max_failures, first.max_failures_in_wave, first.max_offline,
        first.guard_version, first.guard_free_space, first.guard_uptime, first.guard_cpu_load, first.variables,
        first.windows, first.local_time, first.stop_starting_at, first.missed_policy, first.until, first.max_launches,
        first.digest, first.authorization_id, who, first.created_by)
    returning launches.id into the_launch;
    -- Each site as it was authorized: one that was changed since is not run.
    insert into tminus.site_runs (launch_id, site_id, position, site_digest)
    select the_launch, r.site_id, r.position, r.site_digest
    from tminus.site_runs r
    where r.launch_id = first.id and r.site_id = any (the_sites);
    update tminus.scheduled_scripts u set finished_at = null where u.id = s.id;
    perform tminus.record('retried', who, s.id, the_launch, null,
        jsonb_build_object('retry_of', first.id, 'digest', first.digest, 'sites', the_sites, 'named', retry.sites is not null));
    perform pg_notify('tminus', 'launch');
    return the_launch;
end $$;

grant execute on function tminus.is_amount(text), tminus.check_rollout(tminus.scheduled_scripts), tminus.latest_runs(uuid)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.confirm_wave(uuid, integer, text), tminus.pause_launch(uuid, text, text), tminus.resume_launch(uuid, text), tminus.retry(uuid, text, text[], text)
    to tminus_author, tminus_approver, tminus_gateway;
grant execute on function tminus.open_wave(uuid, integer), tminus.ask_wave(uuid, integer), tminus.halt(uuid, integer, text, boolean) to tminus_daemon;

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
    where q.script_id = s.id and q.kind not in ('rehearsal', 'test') and q.state = 'running' and q.finished_at is null
    for update;
    if not found then
        raise exception 'no launch of scheduled script % is under way; there is nothing to %', s.id, p_act using errcode = 'object_not_in_prerequisite_state';
    end if;
    return l;
end $$;

-- What `approver` (null: the caller) signs for the launch of a scheduled script that is under way: that it goes on ('resume'), or that its
-- wave `wave` goes ('confirm'). Null if there is nothing to sign. See tminus.statement_text.
create function tminus.launch_statement(id uuid, act text, approver text, expires timestamptz, wave integer default null) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.statement_text(launch_statement.act, l.id, l.script_id, a.digest, cardinality(a.site_ids), a.author, a.editor,
        coalesce(launch_statement.approver, session_user), launch_statement.expires, l.due_at,
        case launch_statement.act when 'confirm' then launch_statement.wave end, case launch_statement.act when 'resume' then l.paused_at end)
    from tminus.launches l
    join tminus.authorizations a on a.id = l.authorization_id
    where l.script_id = launch_statement.id and l.kind not in ('rehearsal', 'test') and l.state = 'running' and l.finished_at is null
        and (launch_statement.act = 'confirm' and launch_statement.wave is not null or launch_statement.act = 'resume' and l.paused_at is not null)
$$;

-- Record that `p_who` signed for an act on launch `l`. (The daemon verifies the signature.) The signer is an approver, and neither the
-- author nor the last editor, as in tminus.authorize. Without a signature: refused while a daemon asks for it.
create function tminus.record_signed_act(l tminus.launches, p_who text, p_act text, p_signature text, p_expires timestamptz, p_wave integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    a tminus.authorizations;
begin
    if p_signature is null then
        perform tminus.require_signature('goes on with', format('Use tminus %s %s --sign KEY, or sign tminus.launch_statement and give the signature.',
            case p_act when 'confirm' then 'confirm-wave' else 'resume-launch' end, l.script_id));
        return;
    end if;
    select * into a from tminus.authorizations q where q.id = l.authorization_id;
    perform tminus.check_signer(p_who, a.author, a.editor, p_expires);
    insert into tminus.authorizations (script_id, act, launch_id, wave, paused_at, digest, row_digest, site_ids, site_digests, author, editor,
        approver, expires_at, signature)
    values (l.script_id, p_act, l.id, p_wave, case p_act when 'resume' then l.paused_at end, a.digest, a.row_digest, a.site_ids, a.site_digests,
        a.author, a.editor, p_who, p_expires, tminus.plain_signature(p_signature));
end $$;

-- Let the next wave of a launch go, where it waits for that (wave_confirm). `wave` is its number, so that a second call does
-- not let the one after it go too. `by` is the person, or null for the caller: the author, an approver, or a gateway. Where daemons ask for
-- signatures, an approver's over tminus.launch_statement(id, 'confirm', by, expires, wave) is needed.
create function tminus.confirm_wave(id uuid, wave integer, by text default null, signature text default null, expires timestamptz default null) returns json
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
    perform tminus.record_signed_act(l, who, 'confirm', confirm_wave.signature, confirm_wave.expires, confirm_wave.wave);
    update tminus.launches u set confirmed_wave = confirm_wave.wave where u.id = l.id;
    perform tminus.record('wave_confirmed', who, l.script_id, l.id, null, jsonb_build_object('wave', confirm_wave.wave, 'signed', confirm_wave.signature is not null));
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

-- Let a paused launch go on. The time that it was paused counts for nobody's start_within. `by` as above; the signature, where daemons ask
-- for one, is over tminus.launch_statement(id, 'resume', by, expires).
create function tminus.resume_launch(id uuid, by text default null, signature text default null, expires timestamptz default null) returns json
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
    perform tminus.record_signed_act(l, who, 'resume', resume_launch.signature, resume_launch.expires, null);
    update tminus.launches u
    set paused_at = null, paused_by = null, pause_note = null, start_until = greatest(u.start_until, tminus.clock() + u.start_within)
    where u.id = l.id;
    update tminus.site_runs r
    set turn_at = r.turn_at + (tminus.clock() - l.paused_at), not_before = least(r.not_before, tminus.clock())
    where r.launch_id = l.id and r.state = 'pending' and r.turn_at is not null;
    perform tminus.record('launch_resumed', who, l.script_id, l.id, null,
        jsonb_build_object('paused_by', l.paused_by, 'paused_at', l.paused_at, 'note', l.pause_note,
            'signed', resume_launch.signature is not null));
    perform pg_notify('tminus', 'launch');
    return tminus.scheduled_script(l.script_id);
end $$;

-- The sites, in their order, on which launch `p_launch` (no retry) would be retried: `p_sites`, or those where that is safe. Or a sentence why not.
create function tminus.sites_to_retry(p_launch uuid, p_sites text[]) returns text[]
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    wrong text;
    the_sites text[];
begin
    if p_sites is null then
        the_sites := array(select r.site_id from tminus.latest_runs(p_launch) r
            where r.outcome in ('failed', 'skipped') and coalesce(r.resolved_effect, r.effect) = 'none' order by r.position);
        if cardinality(the_sites) = 0 then
            raise exception 'no site of launch % is safe to repeat', p_launch using errcode = 'object_not_in_prerequisite_state',
                hint = 'Sites where it was applied in part, or where that is unknown, are retried only if they are named.';
        end if;
    else
        select coalesce(u.site, 'null') into wrong from unnest(p_sites) as u (site)
        where not exists (select from tminus.latest_runs(p_launch) r where r.site_id = u.site) limit 1;
        if found then
            raise exception '% is no site of launch %', quote_literal(tminus.printable(wrong)), p_launch using errcode = 'foreign_key_violation';
        end if;
        select r.site_id into wrong from tminus.latest_runs(p_launch) r where r.site_id = any (p_sites) and r.outcome = 'completed' order by r.position limit 1;
        if found then
            raise exception 'it completed on %; it is not run there again', wrong using errcode = 'object_not_in_prerequisite_state';
        end if;
        the_sites := array(select r.site_id from tminus.latest_runs(p_launch) r where r.site_id = any (p_sites) order by r.position);
        if cardinality(the_sites) = 0 then
            raise exception 'a retry needs at least one site' using errcode = 'check_violation', column = 'sites';
        end if;
    end if;
    return the_sites;
end $$;

-- Their digests in an authorization, in the order of `p_sites`.
create function tminus.authorized_digests(a tminus.authorizations, p_sites text[]) returns text[]
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select array_agg(q.site_digest order by w.position)
    from unnest(p_sites) with ordinality as w (site_id, position)
    join unnest(a.site_ids, a.site_digests) as q (site_id, site_digest) on q.site_id = w.site_id
$$;

-- What `approver` (null: the caller) signs to have a launch retried on `sites` (null: where that is safe) as the launch `id`, a new UUID of the
-- signer's choice. Null if there is no such launch, or nobody authorized it. See tminus.statement_text.
create function tminus.retry_statement(launch uuid, id uuid, sites text[], approver text, expires timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.statement_text('retry', retry_statement.id, a.script_id,
        tminus.combine_digests(a.row_digest, w.sites, tminus.authorized_digests(a, w.sites)), cardinality(w.sites), a.author, a.editor,
        coalesce(retry_statement.approver, session_user), retry_statement.expires)
    from tminus.launches l
    join tminus.launches q on q.id = coalesce(l.retry_of, l.id)
    join tminus.authorizations a on a.id = q.authorization_id
    cross join lateral (select tminus.sites_to_retry(q.id, retry_statement.sites) as sites) w
    where l.id = retry_statement.launch
$$;

-- Run the content of a launch that has ended once more, on the sites that are safe to repeat: those that failed or were skipped and on
-- which it had no effect. `sites` names others one by one (partly applied, unknown), or only some. That is a decision of an approver, who
-- is neither the author nor the last editor, and it is recorded as one. `launch` may be a retry. Where daemons ask for signatures, the approver's over tminus.retry_statement(launch, id, sites,
-- by, expires) is needed. `id` is that of the new launch, or null. No site of it starts after `expires`; null: the policy's authorization_ttl
-- from now, if there is one. Returns the new launch.
create function tminus.retry(launch uuid, only_which text default 'failed_and_not_started', sites text[] default null, by text default null,
    id uuid default null, signature text default null, expires timestamptz default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    first tminus.launches;
    s tminus.scheduled_scripts;
    a tminus.authorizations;
    who text := tminus.principal(retry.by);
    the_sites text[];
    the_launch uuid := coalesce(retry.id, gen_random_uuid());
    the_end timestamptz := coalesce(retry.expires, tminus.clock() + (select p.authorization_ttl from tminus.policy p));
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
    elsif first.kind <> 'scheduled' then
        raise exception 'launch % is a %; only what was launched at its time, or instead of it, is retried', first.id, first.kind
            using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
    elsif first.state not in ('finished', 'halted') then
        raise exception 'launch % is %; only one that has finished or was halted is retried', first.id, first.state
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
    the_sites := tminus.sites_to_retry(first.id, retry.sites);
    if retry.signature is null then
        if the_end <= tminus.clock() then
            raise exception 'the retry would have expired at %, before now', tminus.api_time(the_end) using errcode = 'check_violation';
        end if;
        perform tminus.require_signature('retries', format('Use tminus retry %s --sign KEY, or sign tminus.retry_statement and give the signature.', s.id));
    else
        if retry.id is null then
            raise exception 'a signature is for one launch: give its id, which it names, too' using errcode = 'check_violation';
        end if;
        select * into a from tminus.authorizations q where q.id = first.authorization_id;
        perform tminus.check_signer(who, a.author, a.editor, retry.expires);
        insert into tminus.authorizations (script_id, act, launch_id, digest, row_digest, site_ids, site_digests, content, author, editor, approver,
            expires_at, signature)
        select s.id, 'retry', retry.id, tminus.combine_digests(a.row_digest, the_sites, u.digests), a.row_digest, the_sites, u.digests, a.content,
            a.author, a.editor, who, retry.expires, tminus.plain_signature(retry.signature)
        from (select tminus.authorized_digests(a, the_sites) as digests) u
        returning authorizations.id into a.id;
    end if;
    insert into tminus.launches (id, script_id, kind, retry_of, due_at, started_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
        wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline,
        guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables,
        windows, local_time, stop_starting_at, missed_policy, until, max_launches, post_checks,
        digest, authorization_id, authorized_by, authorization_expires_at, created_by)
    values (the_launch, s.id, 'retry', first.id, tminus.clock(), tminus.clock(), tminus.clock() + first.start_within, first.description, first.script, the_sites,
        first.make_backup, first.abort_if_offline, first.start_within, first.site_timeout, first.max_concurrency, first.expects_disconnect,
        first.detached, first.test_site_id, first.launch_at, first.cron, first.timezone,
        first.wave_sizes, first.wave_order, first.wave_pause, first.wave_confirm, first.confirm_within, first.max_failures, first.max_failures_in_wave, first.max_offline,
        first.guard_version, first.guard_free_space, first.guard_uptime, first.guard_cpu_load, first.variables,
        first.windows, first.local_time, first.stop_starting_at, first.missed_policy, first.until, first.max_launches, first.post_checks,
        first.digest, coalesce(a.id, first.authorization_id), who, the_end, first.created_by);
    -- Each site as it was authorized: one that was changed since is not run.
    insert into tminus.site_runs (launch_id, site_id, position, site_digest)
    select the_launch, r.site_id, r.position, r.site_digest
    from tminus.site_runs r
    where r.launch_id = first.id and r.site_id = any (the_sites);
    update tminus.scheduled_scripts u set finished_at = null where u.id = s.id;
    perform tminus.record('retried', who, s.id, the_launch, null,
        jsonb_build_object('retry_of', first.id, 'digest', first.digest, 'sites', the_sites, 'named', retry.sites is not null,
            'signed', retry.signature is not null));
    perform pg_notify('tminus', 'launch');
    return the_launch;
end $$;

grant execute on function tminus.is_amount(text), tminus.check_rollout(tminus.scheduled_scripts), tminus.latest_runs(uuid), tminus.sites_to_retry(uuid, text[]),
    tminus.authorized_digests(tminus.authorizations, text[]), tminus.retry_statement(uuid, uuid, text[], text, timestamptz), tminus.launch_statement(uuid, text, text, timestamptz, integer)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.confirm_wave(uuid, integer, text, text, timestamptz), tminus.pause_launch(uuid, text, text), tminus.resume_launch(uuid, text, text, timestamptz),
    tminus.retry(uuid, text, text[], text, uuid, text, timestamptz)
    to tminus_author, tminus_approver, tminus_gateway;
grant execute on function tminus.open_wave(uuid, integer), tminus.ask_wave(uuid, integer), tminus.halt(uuid, integer, text, boolean) to tminus_daemon;

-- What people do (authorize, cancel) and what the daemon does with wishes and launches. Each checks its caller, writes
-- the audit trail, and says in its error what to do. All run as tminus_owner.

-- Lock and return one scheduled script, or say that there is none.
create function tminus.lock_script(p_id uuid) returns tminus.scheduled_scripts
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
begin
    select * into s from tminus.scheduled_scripts where id = p_id for update;
    if not found then
        raise exception 'there is no scheduled script %', p_id using errcode = 'no_data_found';
    end if;
    return s;
end $$;

-- Does a launch of it go on? Rehearsals are not part of its life.
create function tminus.is_under_way(p_script uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (select from tminus.launches l where l.script_id = p_script and l.finished_at is null and l.kind <> 'rehearsal')
$$;

-- Whether the caller may act on what is others': approvers and gateways.
create function tminus.oversees() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select pg_has_role(session_user, 'tminus_approver', 'member') or pg_has_role(session_user, 'tminus_gateway', 'member') $$;

-- A note that a person has to give: returns it without the blanks around it.
create function tminus.required_note(note text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    note := regexp_replace(note, '^[[:space:]]+|[[:space:]]+$', '', 'g');
    if coalesce(note, '') = '' then
        raise exception 'the note is empty: say how you know, for whoever asks later' using errcode = 'check_violation';
    elsif octet_length(note) > 4000 then
        raise exception 'the note has % bytes; at most 4000 are kept', octet_length(note) using errcode = 'check_violation';
    end if;
    return note;
end $$;

-- Refuse what has no sites yet: its query was not resolved.
create function tminus.require_sites(s tminus.scheduled_scripts) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if cardinality(s.sites) = 0 then
        raise exception 'the site_query of scheduled script % was not resolved yet, so it has no sites', s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Call tminus.resolve_sites(id), and look at the sites that it finds.';
    end if;
end $$;
-- What an approver looks at besides the sites. (Its time is null where a cron rule decides.)
create function tminus.content_of(s tminus.scheduled_scripts) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select to_jsonb(s) - '{id,sites,summary,notify,created_by,updated_by,status,status_reason,started_at,finished_at,authorization_id,authorized_at,authorized_by,authorization_expires_at,cancelled_at,cancelled_by,created_at,updated_at,findings,summary_generated}'::text[]
        || jsonb_build_object('launch_at', case when s.cron is null then tminus.api_time(s.launch_at) end)
$$;

-- Make a scheduled script launchable. `digest` is what the approver saw (tminus.digest(id)); `approver` is the person,
-- or null for the caller. `signature` is the approver's over tminus.statement(id, approver, expires), where daemons ask for one.
-- Nothing is started after `expires`; null: the policy's authorization_ttl from now, if there is one. `reason` is for whoever
-- asks later. Returns the scheduled script as the API shows it.
create function tminus.authorize(id uuid, digest text, approver text default null, signature text default null,
    expires timestamptz default null, reason text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(authorize.approver);
    the_row text;
    the_sites text[];
    is_now text;
    new_id bigint;
    signed text := replace(authorize.signature, e'\r\n', e'\n');
    ttl interval := (select p.authorization_ttl from tminus.policy p);
    the_end timestamptz := authorize.expires;
    demanding text;
begin
    s := tminus.lock_script(authorize.id);
    if s.status = 'scheduled' then
        raise exception 'scheduled script % is authorized already, by % at %', s.id, s.authorized_by, tminus.api_time(s.authorized_at)
            using errcode = 'object_not_in_prerequisite_state';
    elsif s.status <> 'unauthorized' then
        raise exception 'scheduled script % is %; it can no longer be authorized', s.id, s.status
            using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
    end if;
    if s.cron is null and s.launch_at <= tminus.clock() then
        raise exception 'the launch time % of scheduled script % has passed; it can no longer be authorized', tminus.api_time(s.launch_at), s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Set launch_at to a time that is still to come, then authorize.';
    end if;
    if not pg_has_role(session_user, 'tminus_approver', 'member') and not pg_has_role(session_user, 'tminus_gateway', 'member') then
        raise exception '% is not an approver: only members of tminus_approver authorize', who using errcode = 'insufficient_privilege';
    end if;
    if (select approval from tminus.policy) is distinct from 'off' and who in (s.created_by, s.updated_by) then
        raise exception '% is the % of scheduled script %; somebody else has to authorize it', who,
            case when who = s.created_by then 'author' else 'last editor' end, s.id
            using errcode = 'insufficient_privilege';
    end if;
    perform tminus.require_sites(s);
    if signed is null then
        the_end := coalesce(the_end, tminus.clock() + ttl);
        select i.name into demanding from tminus.instances i where i.requires_signature and tminus.is_alive(i) limit 1;
        if found then
            raise exception 'the daemon % launches only what its approver has signed', demanding
                using errcode = 'object_not_in_prerequisite_state',
                    hint = format('Use tminus authorize %s --sign KEY, or sign tminus.statement(id) and give the signature.', s.id);
        end if;
    elsif octet_length(signed) > 16384 or signed !~ e'^-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----\n?$' then
        raise exception 'the signature is not what ssh-keygen -Y sign writes' using errcode = 'check_violation';
    end if;
    if the_end <= tminus.clock() then
        raise exception 'the authorization would have expired at %, before now', tminus.api_time(the_end) using errcode = 'check_violation';
    elsif coalesce(the_end > tminus.clock() + ttl, the_end is null and ttl is not null) then
        raise exception 'an authorization lasts % at most', ttl using errcode = 'check_violation', hint = 'Give an earlier `expires`, and sign that.';
    elsif s.launch_at >= the_end and s.cron is null then
        raise exception 'the authorization would expire at %, before the launch of scheduled script % at %', tminus.api_time(the_end), s.id, tminus.api_time(s.launch_at)
            using errcode = 'check_violation', hint = 'Authorize it later.';
    end if;
    -- The sites of this digest stand still until the end of this transaction.
    perform from tminus.sites where sites.id = any (s.sites) order by sites.id for share;
    if tminus.missing_variable(s) is not null then
        raise exception 'scheduled script % cannot be authorized: %', s.id, tminus.missing_variable(s)
            using errcode = 'object_not_in_prerequisite_state', hint = 'Set it in variables, of the site or of the scheduled script. A literal $(name) is written with a backslash before the $.';
    end if;
    the_row := tminus.row_digest(s);
    the_sites := tminus.site_digests(s.sites, s.script, s.variables);
    is_now := tminus.combine_digests(the_row, s.sites, the_sites);
    if authorize.digest is distinct from is_now then
        raise exception 'the digest does not match: scheduled script % is now %', s.id, is_now
            using errcode = 'object_not_in_prerequisite_state', hint = 'Review it again, then authorize with the digest that tminus.digest(id) shows.';
    end if;
    insert into tminus.authorizations (script_id, digest, row_digest, site_ids, site_digests, content, author, editor, approver, reason, expires_at, signature)
    values (s.id, is_now, the_row, s.sites, the_sites, tminus.content_of(s), s.created_by, s.updated_by, who, nullif(btrim(authorize.reason), ''), the_end, signed)
    returning authorizations.id into new_id;
    -- An occurrence that passed while nobody had authorized it is not made up for: the daemon plans the next.
    update tminus.scheduled_scripts u
    set status = 'scheduled', status_reason = null, authorization_id = new_id, authorized_at = tminus.clock(), authorized_by = who,
        authorization_expires_at = the_end,
        launch_at = case when s.cron is null or s.launch_at > tminus.clock() then s.launch_at end
    where u.id = s.id;
    perform tminus.record('authorized', who, s.id, null, null, jsonb_strip_nulls(jsonb_build_object('digest', is_now,
        'authorization', new_id, 'reason', nullif(btrim(authorize.reason), ''), 'expires_at', the_end, 'signed', signed is not null)));
    return tminus.scheduled_script(s.id);
end $$;

-- Stop a scheduled script. Before its launch nothing will run; during it, sites that were not started are skipped and
-- started ones finish. `by` is the person, or null for the caller.
create function tminus.cancel(id uuid, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(cancel.by);
begin
    s := tminus.lock_script(cancel.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not cancel it', s.id, s.created_by, who using errcode = 'insufficient_privilege';
    end if;
    if s.status = 'cancelled' then
        raise exception 'scheduled script % is cancelled already, by % at %', s.id, s.cancelled_by, tminus.api_time(s.cancelled_at)
            using errcode = 'object_not_in_prerequisite_state';
    elsif s.status = 'launched' and s.finished_at is not null then
        raise exception 'scheduled script % has finished at %; there is nothing left to cancel', s.id, tminus.api_time(s.finished_at)
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    update tminus.scheduled_scripts u
    set status = 'cancelled', status_reason = 'cancelled by ' || who, cancelled_at = tminus.clock(), cancelled_by = who,
        finished_at = case when not tminus.is_under_way(s.id) then tminus.clock() end
    where u.id = s.id;
    perform tminus.record('cancelled', who, s.id, null, null, jsonb_build_object('was', s.status));
    -- Waits for a start that is about to be committed; none is committed after this transaction.
    perform from tminus.launches l where l.script_id = s.id and l.state = 'running' and l.finished_at is null for update;
    update tminus.launches l
    set state = 'cancelled', reason = 'cancelled by ' || who
    where l.script_id = s.id and l.state = 'running';
    update tminus.site_runs r
    set state = 'skipped', reason = 'cancelled', effect = 'none', message = 'Cancelled by ' || who || ' before it was started.', finished_at = tminus.clock()
    from tminus.launches l
    where l.script_id = s.id and l.finished_at is null and r.launch_id = l.id and r.state = 'pending';
    perform pg_notify('tminus', 'cancelled');
    perform tminus.finish_launches();
    return tminus.scheduled_script(s.id);
end $$;

-- Rehearse a scheduled script, as it is now, on all its sites at once: everything up to its point of no return, and
-- nothing beyond. `by` is the person, or null for the caller. Returns the launch, whose site runs tell who is not ready.
create function tminus.rehearse(id uuid, by text default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(rehearse.by);
    earlier uuid;
    due record;
    the_launch uuid;
begin
    s := tminus.lock_script(rehearse.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not rehearse it', s.id, s.created_by, who using errcode = 'insufficient_privilege';
    end if;
    if s.status not in ('unauthorized', 'scheduled') then
        raise exception 'scheduled script % is %; there is nothing left to rehearse', s.id, s.status using errcode = 'object_not_in_prerequisite_state';
    end if;
    perform tminus.require_sites(s);
    select l.id into earlier from tminus.launches l where l.script_id = s.id and l.kind = 'rehearsal' and l.finished_at is null;
    if found then
        raise exception 'scheduled script % is being rehearsed already (launch %)', s.id, earlier
            using errcode = 'object_not_in_prerequisite_state', hint = 'Wait until that one has finished.';
    end if;
    select q.id, q.launch_at, x.site_id into due
    from tminus.scheduled_script_sites x
    join tminus.scheduled_scripts q on q.id = x.script_id
    where x.site_id = any (s.sites) and q.status = 'scheduled' and q.launch_at < tminus.clock() + interval '10 minutes'
    limit 1;
    if found then
        raise exception 'scheduled script % is due at % on site %; a rehearsal now could be in its way', due.id, tminus.api_time(due.launch_at), due.site_id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Rehearse after it.';
    end if;
    -- Now or never: an offline site is an answer, and a router that is busy is asked again for some minutes only.
    insert into tminus.launches (script_id, kind, due_at, started_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone, guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, digest, created_by)
    select s.id, 'rehearsal', tminus.clock(), tminus.clock(), tminus.clock() + patience, s.description, s.script, s.sites, s.make_backup,
        true, patience, least(s.site_timeout, interval '5 minutes'), s.max_concurrency, s.expects_disconnect, s.detached,
        s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone, s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, tminus.digest(s.id), who
    from (select least(s.start_within, interval '15 minutes') as patience) p
    returning launches.id into the_launch;
    insert into tminus.site_runs (launch_id, site_id, position, site_digest, rehearsal)
    select the_launch, site_id, position, site_digest, true
    from unnest(s.sites, tminus.site_digests(s.sites, s.script, s.variables)) with ordinality as u (site_id, site_digest, position);
    perform tminus.record('rehearsed', who, s.id, the_launch, null, jsonb_build_object('sites', cardinality(s.sites)));
    perform pg_notify('tminus', 'launch');
    return the_launch;
end $$;

-- Lay a person's verdict beside a site run that ended as unknown: `completed` (it ran to its end), `failed/partial` or
-- `failed/none` (what it did stays applied, or it did nothing). The ending stays what could be proved, `outcome` and all
-- counts follow the verdict, and nothing is run again. Once: a verdict is not taken back. `by` is the person, or null for
-- the caller: the author, an approver, or a gateway. Returns the scheduled script as the API shows it.
create function tminus.resolve(site_run bigint, verdict text, note text, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    r tminus.site_runs;
    s tminus.scheduled_scripts;
    who text := tminus.principal(resolve.by);
    the_note text := tminus.required_note(resolve.note);
begin
    -- Not `for update`: what refers to this run (a debt, an export) is written without waiting.
    select * into r from tminus.site_runs q where q.id = resolve.site_run for no key update;
    if not found then
        raise exception 'there is no site run %', resolve.site_run using errcode = 'no_data_found';
    end if;
    select q.* into s from tminus.launches l join tminus.scheduled_scripts q on q.id = l.script_id where l.id = r.launch_id;
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not resolve its runs', s.id, s.created_by, who
            using errcode = 'insufficient_privilege';
    end if;
    if r.state <> 'unknown' then
        raise exception 'site run % on % is % and not unknown; there is nothing to resolve', r.id, r.site_id, r.state
            using errcode = 'object_not_in_prerequisite_state';
    elsif r.resolved_at is not null then
        raise exception 'site run % on % was resolved as %/% already, by % at %', r.id, r.site_id, r.resolved_state, r.resolved_effect,
            r.resolved_by, tminus.api_time(r.resolved_at) using errcode = 'object_not_in_prerequisite_state';
    end if;
    case resolve.verdict
        when 'completed' then r.resolved_state := 'completed'; r.resolved_effect := 'applied';
        when 'failed/partial' then r.resolved_state := 'failed'; r.resolved_effect := 'partial';
        when 'failed/none' then r.resolved_state := 'failed'; r.resolved_effect := 'none';
        else
            raise exception '% is no verdict', coalesce(quote_literal(tminus.printable(resolve.verdict)), 'nothing')
                using errcode = 'check_violation',
                    hint = 'Say completed (it ran to its end), failed/partial (what it did stays applied) or failed/none (it did nothing).';
    end case;
    update tminus.site_runs u
    set resolved_state = r.resolved_state, resolved_effect = r.resolved_effect, resolved_at = tminus.clock(), resolved_by = who, resolution = the_note
    where u.id = r.id;
    -- Who says what it did says that it is over.
    update tminus.busy_sites b set free_at = tminus.clock(), free_because = 'resolved by ' || who where b.site_run_id = r.id and b.free_at is null;
    perform tminus.record('resolved', who, s.id, r.launch_id, r.site_id, jsonb_build_object('site_run', r.id,
        'was', jsonb_build_object('state', r.state, 'reason', r.reason, 'effect', r.effect, 'message', r.message),
        'verdict', r.resolved_state, 'effect', r.resolved_effect, 'note', the_note));
    return tminus.scheduled_script(s.id);
end $$;

-- Have files that still lie on routers looked for now and not after their back-off: on these sites, or on all (null).
-- Returns how many. `by` is the person, or null for the caller.
create function tminus.hasten_cleanup(sites text[] default null, by text default null) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    who text := tminus.principal(hasten_cleanup.by);
    unknown_site text;
    hastened integer;
begin
    select u.site into unknown_site
    from unnest(hasten_cleanup.sites) as u (site)
    where not exists (select from tminus.cleanup_debts d where d.site_id = u.site and d.settled_at is null)
    limit 1;
    if unknown_site is not null then
        raise exception 'nothing is owed on site %', quote_literal(tminus.printable(unknown_site)) using errcode = 'no_data_found';
    end if;
    update tminus.cleanup_debts d
    set next_try_at = tminus.clock()
    where d.settled_at is null and (hasten_cleanup.sites is null or d.site_id = any (hasten_cleanup.sites)) and d.next_try_at > tminus.clock();
    get diagnostics hastened = row_count;
    perform tminus.record('cleanup_hastened', who, null, null, null,
        jsonb_build_object('sites', hasten_cleanup.sites, 'debts', hastened));
    perform pg_notify('tminus', 'cleanup');
    return hastened;
end $$;

-- Give a debt up: the router is gone, or was reset, so that nobody need look for the file any more. `by` is the person, or
-- null for the caller: the author of the script, an approver, or a gateway.
create function tminus.forgive_cleanup(debt bigint, note text, by text default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    d tminus.cleanup_debts;
    s tminus.scheduled_scripts;
    r tminus.site_runs;
    who text := tminus.principal(forgive_cleanup.by);
    the_note text := tminus.required_note(forgive_cleanup.note);
begin
    select * into d from tminus.cleanup_debts q where q.id = forgive_cleanup.debt for no key update;
    if not found then
        raise exception 'there is no cleanup debt %', forgive_cleanup.debt using errcode = 'no_data_found';
    end if;
    select * into r from tminus.site_runs q where q.id = d.site_run_id;
    select q.* into s from tminus.launches l join tminus.scheduled_scripts q on q.id = l.script_id where l.id = r.launch_id;
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not forgive what it left on %', s.id, s.created_by, who, d.site_id
            using errcode = 'insufficient_privilege';
    end if;
    if d.settled_at is not null then
        raise exception 'cleanup debt % on % is settled already, %', d.id, d.site_id,
            case when d.forgiven_by is null then 'the file is gone' else 'forgiven by ' || d.forgiven_by end
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    update tminus.cleanup_debts u set settled_at = tminus.clock(), forgiven_by = who, forgiven_note = the_note where u.id = d.id;
    perform tminus.record('cleanup_forgiven', who, s.id, r.launch_id, d.site_id,
        jsonb_build_object('debt', d.id, 'file', d.file_name, 'attempts', d.attempts, 'note', the_note));
end $$;

-- Let launches start again after a restore: a person has seen which starts are gone from this database, and has cancelled
-- what must not run once more. `by` is the person, or null for the caller: an approver or a gateway. `seen` is how many lost
-- starts that person saw: where another was noticed since, it is refused. Returns how many are accepted.
create function tminus.resume(note text, by text default null, seen integer default null) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    who text := tminus.principal(resume.by);
    the_note text := tminus.required_note(resume.note);
    accepted jsonb;
begin
    if not tminus.oversees() then
        raise exception '% may not resume the launches: only members of tminus_approver and tminus_gateway do', who
            using errcode = 'insufficient_privilege';
    end if;
    with taken as (
        update tminus.lost_starts u set accepted_at = tminus.clock(), accepted_by = who, note = the_note
        where u.accepted_at is null
        returning u.nonce, u.site_run_id, u.launch_id, u.site_id, u.started_at
    )
    select jsonb_agg(to_jsonb(taken)) into accepted from taken;
    if jsonb_array_length(accepted) <> resume.seen then
        raise exception '% lost starts are known by now, not the % that you saw', jsonb_array_length(accepted), resume.seen
            using errcode = 'object_not_in_prerequisite_state', hint = 'Look at them again, and cancel what must not run again.';
    end if;
    if accepted is null then
        raise exception 'the launches are not paused; there is nothing to resume' using errcode = 'object_not_in_prerequisite_state';
    end if;
    perform tminus.record('resumed', who, null, null, null, jsonb_build_object('lost_starts', accepted, 'note', the_note));
    perform pg_notify('tminus', 'resumed');
    return jsonb_array_length(accepted);
end $$;

-- ---------------------------------------------------------------------------------------------------------------------
-- The daemon's: none of these is granted to anyone else.

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

-- Scheduled scripts whose time has come, locked for this transaction. No row: nothing is due, another has it, or all is
-- paused.
create function tminus.due_scripts(p_limit integer) returns setof tminus.scheduled_scripts
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    return query
    select s.*
    from tminus.scheduled_scripts s
    where s.status = 'scheduled' and s.launch_at <= tminus.clock() and tminus.clock() <= s.launch_at + s.start_within
        and (s.authorization_expires_at is null or s.authorization_expires_at > tminus.clock())
        and not (select tminus.is_held_back()) and not tminus.is_set_aside(s.id)
    order by s.launch_at
    limit p_limit
    for update skip locked;
end $$;

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
begin
    s := tminus.lock_script(p_script);
    if s.status <> 'scheduled' or s.launch_at is null or s.launch_at > tminus.clock() or tminus.clock() > s.launch_at + s.start_within
        or s.authorization_expires_at <= tminus.clock()
        or tminus.living_state(p_instance) is null or tminus.is_held_back() then
        return null;
    end if;
    select * into a from tminus.authorizations where id = s.authorization_id;
    is_overlap := s.cron is not null and tminus.is_under_way(s.id);
    if is_overlap then
        perform tminus.insert_missed_launch(s, 'overlap', 'The previous launch was still running.');
    else
        the_waves := tminus.wave_ends(s.wave_sizes, cardinality(s.sites));
        insert into tminus.launches (script_id, due_at, started_at, start_until, description, script, sites, make_backup,
            abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
            wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline,
            guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, windows, local_time, stop_starting_at, missed_policy, until, max_launches,
            waves, open_to, digest, authorization_id, authorized_by, created_by)
        values (s.id, s.launch_at, tminus.clock(), tminus.clock() + s.start_within, s.description, s.script, s.sites, s.make_backup,
            s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached, s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone,
            s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
            s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches,
            cardinality(the_waves), case cardinality(the_waves) when 1 then 2147483647 else the_waves[1] end, a.digest, a.id, s.authorized_by, s.created_by)
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
            where s.local_time is not null
        ) local on local.id = u.site_id;
        perform tminus.record('launched', 'tminus', s.id, the_launch, null,
            jsonb_build_object('instance', p_instance, 'due_at', s.launch_at, 'sites', cardinality(s.sites)));
        perform pg_notify('tminus', 'launch');
    end if;
    update tminus.scheduled_scripts u
    set status = case when s.cron is null then 'launched' else 'scheduled' end,
        -- Without a next one the daemon plans it, or ends the rule.
        launch_at = case when s.cron is null then s.launch_at when not tminus.is_spent(s) then p_next end,
        started_at = case when the_launch is null then s.started_at else tminus.clock() end,
        finished_at = case when the_launch is null then s.finished_at end
    where u.id = s.id;
    return the_launch;
end $$;

-- An occurrence that was not started: a launch in which every site is skipped/missed.
create function tminus.insert_missed_launch(s tminus.scheduled_scripts, p_reason text, p_message text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    the_launch uuid;
begin
    insert into tminus.launches (script_id, state, reason, due_at, finished_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
        wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline,
        guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, windows, local_time, stop_starting_at, missed_policy, until, max_launches,
        authorized_by, created_by)
    values (s.id, 'missed', p_reason, s.launch_at, tminus.clock(), s.launch_at + s.start_within, s.description, s.script, s.sites, s.make_backup,
        s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached, s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone,
        s.wave_sizes, s.wave_order, s.wave_pause, s.wave_confirm, s.confirm_within, s.max_failures, s.max_failures_in_wave, s.max_offline,
        s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches,
        s.authorized_by, s.created_by)
    on conflict (script_id, due_at) where kind = 'scheduled' do nothing
    returning id into the_launch;
    if the_launch is null then
        return;
    end if;
    insert into tminus.site_runs (launch_id, site_id, position, state, reason, effect, message, finished_at)
    select the_launch, site_id, position, 'skipped', 'missed', 'none', p_message, tminus.clock()
    from unnest(s.sites) with ordinality as u (site_id, position);
    perform tminus.record('launch_missed', 'tminus', s.id, the_launch, null, jsonb_build_object('reason', p_reason, 'due_at', s.launch_at));
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
    for s in
        select q.*
        from (
            -- Each by its own partial index.
            (select i.id, i.status from tminus.scheduled_scripts i
             where i.status = 'scheduled' and i.launch_at < tminus.clock() and i.launch_at + i.start_within < tminus.clock()
             order by i.launch_at limit p_limit)
            union all
            (select i.id, i.status from tminus.scheduled_scripts i
             where i.status = 'unauthorized' and i.launch_at < tminus.clock() and i.launch_at + i.start_within < tminus.clock()
             order by i.launch_at limit p_limit)
        ) late
        -- Once more what is asked of it, for a row that was launched or edited just now.
        join tminus.scheduled_scripts q on q.id = late.id and q.status = late.status and q.launch_at + q.start_within < tminus.clock()
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
-- count: nothing is run. `p_authorization`: only where this is the one.
create function tminus.refuse_launch(p_script uuid, p_reason text, p_authorization bigint default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update tminus.scheduled_scripts u
    set status = 'unauthorized', status_reason = p_reason, authorization_id = null, authorized_at = null, authorized_by = null,
        authorization_expires_at = null
    where u.id = p_script and u.status = 'scheduled' and (p_authorization is null or u.authorization_id = p_authorization);
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
                select l.id, l.due_at, l.open_to, l.kind = 'rehearsal' as rehearsal, l.start_within,
                    -- What settle_pending would end is not started by who comes back after a long time and looks first.
                    l.start_until >= tminus.clock() or exists (select from tminus.site_runs o
                        where o.launch_id = l.id and o.finished_at is null and o.state = 'running' and o.instance_id is not null) as goes_on,
                    case when l.max_concurrency is null then p_capacity else least(p_capacity, l.max_concurrency - (
                        select count(*) from tminus.site_runs r where r.launch_id = l.id and r.finished_at is null and r.state = 'running')) end as places
                from tminus.launches l
                where l.finished_at is null and l.state = 'running' and l.paused_at is null and (l.max_concurrency is null or l.id = any (capped))
                    and (l.kind = 'rehearsal' or not closed.everywhere and tminus.is_any_open(l.windows))
                    and coalesce(l.stop_starting_at > tminus.clock(), true)
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
                        and (select tminus.can_serve(me, s) and (s.jump_host is null or s.jump_host = any (p_jump_hosts))
                                and (w.rehearsal or not s.tags && closed.tags)
                                and (full_tags is null or not s.tags && full_tags)
                            from tminus.sites s where s.id = r.site_id)
                        and not exists (select from tminus.site_runs o where o.site_id = r.site_id and o.state = 'running' offset 0)
                        and (w.rehearsal or not exists (select from tminus.busy_sites b where b.site_id = r.site_id and b.free_at is null offset 0))
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
                    turn_at = coalesce(r.turn_at, tminus.clock()), not_before = null, message = null
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
-- their own turn is over, or their launch has stood still (no daemon served it, or the router was busy) for start_within.
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
                when late.closed is not null then
                'Not started within ' || late.start_within || ': ' || late.closed || '.' || coalesce(' Before that: ' || left(r.message, 900), '')
                else
                'Not started: no daemon served this site within ' || late.start_within
                || coalesce('; ' || late.unserved, '; ' || late.capped, '') || '.' || coalesce(' Before that: ' || left(r.message, 900), '') end
            when 'busy' then 'Not started: another script was running on this router for ' || late.start_within || '.'
            else coalesce(r.message, 'Gave up after ' || late.start_within || '.') end
    from (
        select p.id, l.start_within, exists (select from tminus.lost_starts x where x.launch_id = l.id and x.site_id = p.site_id) as is_lost,
            tminus.is_set_aside(l.script_id) as is_aside,
            (select tminus.why_unserved(s) from tminus.sites s where s.id = p.site_id) as unserved,
            w.closed, l.stop_starting_at, l.stop_starting_at <= tminus.clock() as is_stopped,
            (select tminus.why_capped(s.tags) from tminus.sites s where s.id = p.site_id) as capped,
            case when l.state in ('cancelled', 'halted') then l.state
                when (select tminus.why_unserved(s) is not null from tminus.sites s where s.id = p.site_id) or w.closed is not null or l.stop_starting_at <= tminus.clock() then 'missed'
                when p.retry_reason is not null then p.retry_reason
                when exists (select from tminus.site_runs o where o.site_id = p.site_id and o.state = 'running')
                    or exists (select from tminus.busy_sites b where b.site_id = p.site_id and b.free_at is null) then 'busy'
                else 'missed' end as reason
        from tminus.launches l
        join tminus.site_runs p on p.launch_id = l.id and p.state = 'pending'
        -- As it was at the last moment at which it could have started.
        cross join lateral (
            select case when not p.rehearsal then (
                select tminus.why_closed(s.tags, l.windows,
                    least(tminus.clock(), coalesce(p.turn_at + l.start_within, p.due_at + l.start_within, l.start_until)) - interval '1 microsecond')
                from tminus.sites s where s.id = p.site_id) end as closed
            offset 0
        ) w
        where l.finished_at is null
            and (l.state in ('cancelled', 'halted')
                or l.stop_starting_at <= tminus.clock()
                -- Not while a person holds the launch, nor before the wave of the site was opened: its turn has not come.
                or l.paused_at is null and p.position <= l.open_to and (p.turn_at + l.start_within < tminus.clock()
                    or p.turn_at is null and p.due_at is not null and tminus.turn_is_over(l.id, p.due_at, l.start_within)
                    or p.turn_at is null and p.due_at is null and l.start_until < tminus.clock()
                        and not exists (select from tminus.site_runs o where o.launch_id = l.id and o.finished_at is null and o.state = 'running' and o.instance_id is not null)))
        for update of p skip locked
    ) late
    where r.id = late.id and r.state = 'pending';
    get diagnostics settled = row_count;
    return settled;
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
        update tminus.scheduled_scripts u set finished_at = tminus.clock() where u.id = l.script_id and u.finished_at is null and l.kind <> 'rehearsal';
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

-- A fact about a site that people should be able to look up: a key accepted at first sight, a changed key, a new identity.
create function tminus.record_site_event(p_kind text, p_instance uuid, p_site text, p_detail jsonb) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$ select tminus.record(p_kind, p_instance::text, null, null, p_site, p_detail) $$;

-- Store exports, each text once. Arrays of one length, an element a backup: site run, phase, SHA-256, text, header, and
-- the size as the router sent it.
create function tminus.store_backups(p_runs bigint[], p_phases text[], p_sha256 bytea[], p_texts text[], p_headers text[], p_raw_bytes integer[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    held integer;
begin
    loop
        -- In one order, so that two batches with the same new texts cannot deadlock.
        insert into tminus.backup_texts (sha256, text)
        select distinct on (b.sha256) b.sha256, b.text
        from unnest(p_sha256, p_texts) as b (sha256, text)
        order by b.sha256
        on conflict do nothing;
        -- What is there is held until the commit. One that tminus.forget_texts took away after it was found is missing, and
        -- is written again. Each statement here looks at a snapshot of its own.
        select count(*) into held
        from (select from tminus.backup_texts t where t.sha256 = any (p_sha256) order by t.sha256 for key share) h;
        exit when held = (select count(distinct u.sha256) from unnest(p_sha256) as u (sha256));
    end loop;
    insert into tminus.backups (site_id, launch_id, site_run_id, phase, sha256, header, raw_bytes)
    select r.site_id, r.launch_id, r.id, b.phase, b.sha256, b.header, b.raw_bytes
    from unnest(p_runs, p_phases, p_sha256, p_headers, p_raw_bytes) as b (site_run_id, phase, sha256, header, raw_bytes)
    join tminus.site_runs r on r.id = b.site_run_id
    on conflict (site_run_id, phase) do update
    set sha256 = excluded.sha256, header = excluded.header, raw_bytes = excluded.raw_bytes, taken_at = tminus.clock();
end $$;

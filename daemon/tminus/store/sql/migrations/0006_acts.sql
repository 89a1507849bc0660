-- What people do with wishes and runs: authorize, cancel, rehearse, resolve, resume. Each checks its caller, writes the audit trail,
-- and says in its error what to do. All run as tminus_owner.

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

-- Does a launch of it go on? Rehearsals and tests are not part of its life.
create function tminus.is_under_way(p_script uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (select from tminus.launches l where l.script_id = p_script and l.finished_at is null and l.kind not in ('rehearsal', 'test'))
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
    select to_jsonb(s) - '{id,sites,summary,notify,created_by,updated_by,status,status_reason,started_at,finished_at,authorization_id,authorized_at,authorized_by,authorization_expires_at,run_now_at,run_now_by,run_now_launch,cancelled_at,cancelled_by,created_at,updated_at,findings,summary_generated}'::text[]
        || jsonb_build_object('launch_at', case when s.cron is null then tminus.api_time(s.launch_at) end)
$$;

-- Refuse what is not signed while a living daemon asks for signatures: it would not act on it. `p_how` says how to sign it.
create function tminus.require_signature(p_what text, p_how text) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    demanding text;
begin
    select i.name into demanding from tminus.instances i where i.requires_signature and tminus.is_alive(i) limit 1;
    if found then
        raise exception 'the daemon % % only what its approver has signed', demanding, p_what
            using errcode = 'object_not_in_prerequisite_state', hint = p_how;
    end if;
end $$;

-- The id of a launch that is to be made is the client's to choose, once.
create function tminus.require_new_launch(p_launch uuid) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from tminus.launches l where l.id = p_launch) or exists (select from tminus.authorizations a where a.launch_id = p_launch) then
        raise exception 'launch % was asked for already; a new one needs a new id', p_launch using errcode = 'unique_violation';
    end if;
end $$;

-- A signature as ssh-keygen -Y sign writes it, with the line ends of this database.
create function tminus.plain_signature(signature text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    signature := replace(signature, e'\r\n', e'\n');
    if octet_length(signature) > 16384 or signature !~ e'^-----BEGIN SSH SIGNATURE-----\n[A-Za-z0-9+/=\n]+\n-----END SSH SIGNATURE-----\n?$' then
        raise exception 'the signature is not what ssh-keygen -Y sign writes' using errcode = 'check_violation';
    end if;
    return signature;
end $$;

-- Whether `p_who` may sign for a further act on what was authorized, until `p_expires`. As tminus.authorize says who may authorize.
create function tminus.check_signer(p_who text, p_author text, p_editor text, p_expires timestamptz) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if not tminus.oversees() then
        raise exception '% is not an approver: only members of tminus_approver sign', p_who using errcode = 'insufficient_privilege';
    elsif (select approval from tminus.policy) is distinct from 'off' and tminus.folded(p_who) in (tminus.folded(p_author), tminus.folded(p_editor)) then
        raise exception '% is the % of what was authorized; somebody else has to sign', p_who,
            case when tminus.folded(p_who) = tminus.folded(p_author) then 'author' else 'last editor' end using errcode = 'insufficient_privilege';
    elsif p_expires is null then
        raise exception 'what is signed for one launch has to expire' using errcode = 'check_violation', hint = 'Give `expires`, and sign that.';
    elsif p_expires <= tminus.clock() then
        raise exception 'the signature would have expired at %, before now', tminus.api_time(p_expires) using errcode = 'check_violation';
    end if;
end $$;

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
    signed text := tminus.plain_signature(authorize.signature);
    ttl interval := (select p.authorization_ttl from tminus.policy p);
    the_end timestamptz := authorize.expires;
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
    if (select approval from tminus.policy) is distinct from 'off' and tminus.folded(who) in (tminus.folded(s.created_by), tminus.folded(s.updated_by)) then
        raise exception '% is the % of scheduled script %; somebody else has to authorize it', who,
            case when tminus.folded(who) = tminus.folded(s.created_by) then 'author' else 'last editor' end, s.id
            using errcode = 'insufficient_privilege';
    end if;
    perform tminus.require_sites(s);
    if signed is null then
        the_end := coalesce(the_end, tminus.clock() + ttl);
        perform tminus.require_signature('launches', format('Use tminus authorize %s --sign KEY, or sign tminus.statement(id) and give the signature.', s.id));
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
    the_sites := tminus.site_digests(s.sites, tminus.code(s.script, s.post_checks), s.variables);
    is_now := tminus.combine_digests(the_row, s.sites, the_sites);
    if authorize.digest is distinct from is_now then
        raise exception 'the digest does not match: scheduled script % is now %', s.id, is_now
            using errcode = 'object_not_in_prerequisite_state', hint = 'Review it again, then authorize with the digest that tminus.digest(id) shows.';
    end if;
    if (select p.require_test from tminus.policy p) and not tminus.is_tested(s.id) then
        raise exception 'scheduled script % did not complete on its test site as it is now', s.id using errcode = 'object_not_in_prerequisite_state',
            hint = 'Use tminus.request_test(id), and look at how it ends. An edit needs another test.';
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
    -- Each claim looks again, since it may be long until the last site is claimed.
    select m.site_id, m.missed into due from tminus.missed_for_rehearsals(s.sites, least(s.site_timeout, interval '5 minutes')) m limit 1;
    if found then
        raise exception '% on site %; a rehearsal now could be in its way', due.missed, due.site_id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Rehearse after it.';
    end if;
    -- The sites of this digest stand still until the end of this transaction.
    perform from tminus.sites where sites.id = any (s.sites) order by sites.id for share;
    -- Now or never: an offline site is an answer, and a router that is busy is asked again for some minutes only.
    insert into tminus.launches (script_id, kind, due_at, started_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone, guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, post_checks, digest, created_by)
    select s.id, 'rehearsal', tminus.clock(), tminus.clock(), tminus.clock() + patience, s.description, s.script, s.sites, s.make_backup,
        true, patience, least(s.site_timeout, interval '5 minutes'), s.max_concurrency, s.expects_disconnect, s.detached,
        s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone, s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.post_checks, tminus.digest(s.id), who
    from (select least(s.start_within, interval '15 minutes') as patience) p
    returning launches.id into the_launch;
    insert into tminus.site_runs (launch_id, site_id, position, site_digest, rehearsal)
    select the_launch, site_id, position, site_digest, true
    from unnest(s.sites, tminus.site_digests(s.sites, tminus.code(s.script, s.post_checks), s.variables)) with ordinality as u (site_id, site_digest, position);
    perform tminus.record('rehearsed', who, s.id, the_launch, null, jsonb_build_object('sites', cardinality(s.sites)));
    perform pg_notify('tminus', 'launch');
    return the_launch;
end $$;

-- Have the janitor stop the job that runs the script of a resolved run, and take its files away: at its next contact.
create function tminus.owe_stopped_job(r tminus.site_runs, who text) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    insert into tminus.cleanup_debts (site_id, site_run_id, file_name, stop_job_by)
    values (r.site_id, r.id, 'tminus-' || r.nonce || '.rsc', who)
    on conflict (site_run_id, file_name) do update
    set stop_job_by = excluded.stop_job_by, job_stopped_at = null, jobs_stopped = null, since = tminus.clock(), attempts = 0,
        next_try_at = tminus.clock(), last_error = null, settled_at = null, forgiven_by = null, forgiven_note = null;
    perform pg_notify('tminus', 'cleanup');
end $$;

-- Lay a person's verdict beside a site run that ended as unknown: `completed` (it ran to its end), `failed/partial` or
-- `failed/none` (what it did stays applied, or it did nothing). The ending stays what could be proved, `outcome` and all
-- counts follow the verdict, and nothing is run again. Once: a verdict is not taken back. `by` is the person, or null for
-- the caller: the author, an approver, or a gateway. Returns the scheduled script as the API shows it.
-- `stop_job`, for an approver or a gateway: have the daemon stop the job that still runs this script on the router. Only a
-- person's verdict has a script stopped; with it a run that was resolved before may be named again, with the same verdict.
create function tminus.resolve(site_run bigint, verdict text, note text, by text default null, stop_job boolean default false) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    r tminus.site_runs;
    s tminus.scheduled_scripts;
    who text := tminus.principal(resolve.by);
    the_note text := tminus.required_note(resolve.note);
    stops boolean := coalesce(resolve.stop_job, false);
    the_state text;
    the_effect text;
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
    end if;
    case resolve.verdict
        when 'completed' then the_state := 'completed'; the_effect := 'applied';
        when 'failed/partial' then the_state := 'failed'; the_effect := 'partial';
        when 'failed/none' then the_state := 'failed'; the_effect := 'none';
        else
            raise exception '% is no verdict', coalesce(quote_literal(tminus.printable(resolve.verdict)), 'nothing')
                using errcode = 'check_violation',
                    hint = 'Say completed (it ran to its end), failed/partial (what it did stays applied) or failed/none (it did nothing).';
    end case;
    if r.resolved_at is not null and not (stops and (r.resolved_state, r.resolved_effect) = (the_state, the_effect)) then
        raise exception 'site run % on % was resolved as %/% already, by % at %', r.id, r.site_id, r.resolved_state, r.resolved_effect,
            r.resolved_by, tminus.api_time(r.resolved_at) using errcode = 'object_not_in_prerequisite_state';
    end if;
    if stops then
        if the_state = 'completed' then
            raise exception 'a script that ran to its end has no job to stop'
                using errcode = 'check_violation', hint = 'Say failed/partial (what it did stays applied) or failed/none (it did nothing).';
        end if;
        -- Unlike a verdict it is an act on a router.
        if not tminus.oversees() then
            raise exception 'only an approver or a gateway has a job stopped, and % is neither', who using errcode = 'insufficient_privilege';
        end if;
        perform tminus.owe_stopped_job(r, who);
        perform tminus.record('job_stop_asked', who, s.id, r.launch_id, r.site_id, jsonb_build_object('site_run', r.id, 'note', the_note));
    end if;
    if r.resolved_at is not null then
        return tminus.scheduled_script(s.id);
    end if;
    update tminus.site_runs u
    set resolved_state = the_state, resolved_effect = the_effect, resolved_at = tminus.clock(), resolved_by = who,
        resolution = the_note || case when stops then ' (Its job on the router is to be stopped.)' else '' end
    where u.id = r.id;
    -- Who says what it did says that it is over.
    update tminus.busy_sites b set free_at = tminus.clock(), free_because = 'resolved by ' || who where b.site_run_id = r.id and b.free_at is null;
    perform tminus.record('resolved', who, s.id, r.launch_id, r.site_id, jsonb_build_object('site_run', r.id,
        'was', jsonb_build_object('state', r.state, 'reason', r.reason, 'effect', r.effect, 'message', r.message),
        'verdict', the_state, 'effect', the_effect, 'note', the_note, 'stop_job', stops));
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

-- Let launches start again after a restore: a person has seen which starts are gone from this database, and how many hosts miss acts
-- of people, and has cancelled what must not run (once more). `by` is the person, or null for the caller: an approver or a gateway.
-- `seen` is how many of both that person saw: where more was noticed since, it is refused. Where daemons ask for signatures, that of an
-- approver over tminus.resume_statement(by, expires) is needed for lost starts, with `digest`, the one in it. Returns how many
-- lost starts there were.
create function tminus.resume(note text, by text default null, seen integer default null, signature text default null,
    expires timestamptz default null, digest text default null) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    who text := tminus.principal(resume.by);
    the_note text := tminus.required_note(resume.note);
    held record;
    the_holds uuid[];
    the_acts bigint[];
    accepted jsonb;
begin
    if not tminus.oversees() then
        raise exception '% may not resume the launches: only members of tminus_approver and tminus_gateway do', who
            using errcode = 'insufficient_privilege';
    end if;
    the_holds := array(select h.id from tminus.host_holds h where h.released_at is null order by h.id);
    select coalesce(array_agg(s.nonce), '{}') as nonces, coalesce(array_agg(s.launch_id), '{}') as launches, coalesce(array_agg(s.site_id), '{}') as sites,
        coalesce(array_agg(s.started_at), '{}') as moments, count(*)::integer as count
    into held from tminus.held_starts() s;
    the_acts := array(select l.event_id from tminus.lost_acts l where l.accepted_at is null);
    if held.count = 0 and cardinality(the_holds) = 0 and cardinality(the_acts) = 0 then
        raise exception 'the launches are not paused; there is nothing to resume' using errcode = 'object_not_in_prerequisite_state';
    elsif held.count + cardinality(the_acts) <> resume.seen then
        raise exception '% lost starts or acts are known by now, not the % that you saw', held.count + cardinality(the_acts), resume.seen
            using errcode = 'object_not_in_prerequisite_state', hint = 'Look at them again, and cancel what must not run again.';
    end if;
    if resume.signature is null and held.count = 0 and cardinality(the_holds) = 0 then
        null; -- acts are this database's own, and what they stopped is signed for
    elsif resume.signature is null then
        perform tminus.require_signature('goes on with', 'Use tminus resume --note WHY --sign KEY, or sign tminus.resume_statement and give the signature.');
    else
        perform tminus.check_signer(who, null, null, resume.expires);
        if resume.digest is distinct from tminus.resume_digest() then
            raise exception 'what is held back is not what you signed for any more' using errcode = 'object_not_in_prerequisite_state',
                hint = 'Look at it again, and sign it anew.';
        end if;
        insert into tminus.resumptions (holds, nonces, launches, sites, moments, approver, expires_at, signature)
        values (the_holds, held.nonces, held.launches, held.sites, held.moments, who, resume.expires, tminus.plain_signature(resume.signature));
    end if;
    with taken as (
        update tminus.lost_starts u set accepted_at = tminus.clock(), accepted_by = who, note = the_note
        where u.accepted_at is null and u.nonce = any (held.nonces)
        returning u.nonce, u.site_run_id, u.launch_id, u.site_id, u.started_at
    )
    select coalesce(jsonb_agg(to_jsonb(taken)), '[]') into accepted from taken;
    update tminus.lost_acts u set accepted_at = tminus.clock(), accepted_by = who, note = the_note
    where u.accepted_at is null and u.event_id = any (the_acts);
    perform tminus.record('resumed', who, null, null, null, jsonb_build_object('lost_starts', accepted, 'lost_acts', to_jsonb(the_acts),
        'note', the_note, 'signed', resume.signature is not null));
    perform pg_notify('tminus', 'resumed');
    return held.count;
end $$;

-- Run a scheduled script on its test site, before anybody has authorized it: on a router that is there for that, and nowhere else.

-- Whether its latest test was of what it is now, and completed.
create function tminus.is_tested(id uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select coalesce(tminus.last_test(id) ->> 'outcome' = 'completed', false) $$;

-- A scheduled script as it is tested: now or never, on its one test site. What is about sites, waves and times has nothing to say here.
-- domain/authorization.as_tested does the same.
create function tminus.as_tested(s tminus.scheduled_scripts) returns tminus.scheduled_scripts
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
begin
    s.sites := array[s.test_site_id];
    s.abort_if_offline := true;
    s.start_within := least(s.start_within, interval '15 minutes');
    s.max_concurrency := null;
    s.wave_sizes := null;
    s.wave_order := null;
    s.wave_pause := null;
    s.wave_confirm := false;
    s.confirm_within := null;
    s.max_failures := null;
    s.max_failures_in_wave := null;
    s.max_offline := null;
    s.windows := '{}';
    s.local_time := null;
    s.stop_starting_at := null;
    s.missed_policy := 'skip';
    s.until := null;
    s.max_launches := null;
    return s;
end $$;

-- What `approver` (null: the caller) signs to have a scheduled script tested as the launch `launch`, a new UUID of the signer's choice. Null if
-- there is no such scheduled script, or it has no test site. See tminus.statement_text.
create function tminus.test_statement(id uuid, launch uuid, approver text, expires timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.statement_text('test', test_statement.launch, s.id,
        tminus.combine_digests(tminus.row_digest(t), t.sites, tminus.site_digests(t.sites, tminus.code(t.script, t.post_checks), t.variables)), 1,
        s.created_by, s.updated_by, coalesce(test_statement.approver, session_user), test_statement.expires)
    from tminus.scheduled_scripts s
    cross join lateral tminus.as_tested(s) t
    where s.id = test_statement.id and s.test_site_id is not null
$$;

-- Run a scheduled script, as it is now, on its test site at once: with backup, checks and proof as ever. Nobody has to have authorized it, so
-- it takes a site whose owner allows it (sites.allow_tests), that is pinned, and that a living daemon names in its own configuration
-- (test_sites). `by` is the person, or null for the caller: the author, an approver, or a gateway. Where daemons ask for signatures, that of an
-- approver over tminus.test_statement(id, launch, by, expires) is needed, who is neither the author nor the last editor. `launch` is the id of
-- the launch, or null. Returns the launch.
create function tminus.request_test(id uuid, by text default null, launch uuid default null, signature text default null,
    expires timestamptz default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    t tminus.sites;
    alone tminus.scheduled_scripts;
    who text := tminus.principal(request_test.by);
    the_digests text[];
    signed bigint;
    other uuid;
    because text;
    due record;
    the_launch uuid := coalesce(request_test.launch, gen_random_uuid());
begin
    s := tminus.lock_script(request_test.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not test it', s.id, s.created_by, who using errcode = 'insufficient_privilege';
    end if;
    if s.status not in ('unauthorized', 'scheduled') then
        raise exception 'scheduled script % is %; there is nothing left to test', s.id, s.status using errcode = 'object_not_in_prerequisite_state';
    elsif s.test_site_id is null then
        raise exception 'scheduled script % has no test site', s.id using errcode = 'object_not_in_prerequisite_state', hint = 'Set test_site_id.';
    end if;
    perform tminus.require_sites(s);
    -- It stands still until the end of this transaction.
    select * into t from tminus.sites q where q.id = s.test_site_id for share;
    if not t.allow_tests then
        raise exception 'site % is not there for tests', t.id using errcode = 'insufficient_privilege',
            hint = 'What runs there is not authorized by anybody; the owner of the schema allows it: allow_tests of the site in tminus.sites.';
    elsif t.host_key is null then
        raise exception 'no host key is pinned for site %, so nothing is tested there', t.id using errcode = 'object_not_in_prerequisite_state',
            hint = format('tminus site pin %s', t.id);
    elsif not t.enabled then
        raise exception 'site % is disabled', t.id using errcode = 'object_not_in_prerequisite_state';
    elsif not exists (select from tminus.instances i where tminus.is_alive(i) and t.id = any (i.test_sites) and tminus.can_serve(i, t)) then
        raise exception 'no daemon that lives runs tests on site %', t.id using errcode = 'object_not_in_prerequisite_state',
            hint = 'Name it in test_sites of the configuration of a daemon that can reach it.';
    end if;
    if request_test.signature is null then
        perform tminus.require_signature('tests', format('Use tminus request-test %s --sign KEY, or sign tminus.test_statement and give the signature.', s.id)
            || ' A rehearsal needs none: tminus.rehearse(id).');
    end if;
    select l.id into other from tminus.launches l where l.script_id = s.id and l.kind = 'test' and l.finished_at is null;
    if found then
        raise exception 'scheduled script % is being tested already (launch %)', s.id, other
            using errcode = 'object_not_in_prerequisite_state', hint = 'Wait until that one has finished.';
    end if;
    if tminus.is_held_back() then
        raise exception 'no launches start at present: a restored database has lost starts, or waits to learn of them' using errcode = 'object_not_in_prerequisite_state',
            hint = 'See tminus.lost_starts, and tminus.resume(note).';
    elsif tminus.is_set_aside(s.id) then
        raise exception 'scheduled script % was set aside, since the daemon died three times while it ran it', s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'See tminus.readmit(id, note).';
    end if;
    because := tminus.why_closed(t.tags, '{}', tminus.clock());
    if because is not null then
        raise exception 'scheduled script % cannot run now on %: %', s.id, t.id, because using errcode = 'object_not_in_prerequisite_state';
    end if;
    select q.id, q.launch_at into due
    from tminus.scheduled_script_sites x
    join tminus.scheduled_scripts q on q.id = x.script_id
    where x.site_id = t.id and q.status = 'scheduled' and q.launch_at < tminus.clock() + interval '10 minutes'
    limit 1;
    if found then
        raise exception 'scheduled script % is due at % on site %; a test now could be in its way', due.id, tminus.api_time(due.launch_at), t.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Test after it.';
    end if;
    alone := tminus.as_tested(s);
    because := tminus.missing_variable(alone);
    if because is not null then
        raise exception 'scheduled script % cannot be tested: %', s.id, because using errcode = 'object_not_in_prerequisite_state',
            hint = 'Set it in variables, of the site or of the scheduled script.';
    end if;
    perform tminus.require_new_launch(the_launch);
    the_digests := tminus.site_digests(alone.sites, tminus.code(s.script, s.post_checks), s.variables);
    if request_test.signature is not null then
        if request_test.launch is null then
            raise exception 'a signature is for one launch: give its id, which it names, too' using errcode = 'check_violation';
        end if;
        perform tminus.check_signer(who, s.created_by, s.updated_by, request_test.expires);
        insert into tminus.authorizations (script_id, act, launch_id, digest, row_digest, site_ids, site_digests, content, author, editor, approver,
            expires_at, signature)
        select s.id, 'test', the_launch, tminus.combine_digests(r.digest, alone.sites, the_digests), r.digest, alone.sites, the_digests,
            tminus.content_of(alone), s.created_by, s.updated_by, who, request_test.expires, tminus.plain_signature(request_test.signature)
        from (select tminus.row_digest(alone) as digest) r
        returning authorizations.id into signed;
    end if;
    insert into tminus.launches (id, script_id, kind, due_at, started_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
        guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, post_checks, digest, authorization_id, authorization_expires_at, created_by)
    values (the_launch, s.id, 'test', tminus.clock(), tminus.clock(), tminus.clock() + alone.start_within, s.description, s.script, alone.sites,
        s.make_backup, alone.abort_if_offline, alone.start_within, s.site_timeout, s.expects_disconnect, s.detached, s.test_site_id,
        case when s.cron is null then s.launch_at end, s.cron, s.timezone,
        s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.post_checks, tminus.digest(s.id), signed, request_test.expires, who);
    insert into tminus.site_runs (launch_id, site_id, position, site_digest) values (the_launch, t.id, 1, the_digests[1]);
    perform tminus.record('test_requested', who, s.id, the_launch, null, jsonb_build_object('site', t.id, 'digest', tminus.digest(s.id),
        'signed', request_test.signature is not null));
    perform pg_notify('tminus', 'launch');
    return the_launch;
end $$;

grant execute on function tminus.is_tested(uuid), tminus.as_tested(tminus.scheduled_scripts), tminus.test_statement(uuid, uuid, text, timestamptz) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.request_test(uuid, text, uuid, text, timestamptz) to tminus_author, tminus_approver, tminus_gateway;

-- Run a scheduled script on its test site, before anybody has authorized it: on a router that is there for that, and nowhere else.

-- Whether its latest test was of what it is now, and completed.
create function tminus.is_tested(id uuid) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select coalesce(tminus.last_test(id) ->> 'outcome' = 'completed', false) $$;

-- Run a scheduled script, as it is now, on its test site at once: with backup, checks and proof as ever. Nobody has to have authorized it, so
-- it takes a site whose owner allows it (sites.allow_tests), that is pinned, and that a living daemon names in its own configuration
-- (test_sites). `by` is the person, or null for the caller: the author, an approver, or a gateway. Returns the launch.
create function tminus.request_test(id uuid, by text default null) returns uuid
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    t tminus.sites;
    alone tminus.scheduled_scripts;
    who text := tminus.principal(request_test.by);
    demanding text;
    other uuid;
    because text;
    due record;
    the_launch uuid;
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
    select i.name into demanding from tminus.instances i where i.requires_signature and tminus.is_alive(i) limit 1;
    if found then
        raise exception 'the daemon % runs only what was signed, and a test cannot be', demanding using errcode = 'object_not_in_prerequisite_state',
            hint = 'A rehearsal needs no signature: tminus.rehearse(id).';
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
    alone := s;
    alone.sites := array[t.id];
    because := tminus.missing_variable(alone);
    if because is not null then
        raise exception 'scheduled script % cannot be tested: %', s.id, because using errcode = 'object_not_in_prerequisite_state',
            hint = 'Set it in variables, of the site or of the scheduled script.';
    end if;
    -- Now or never, on one site: what is about sites, waves and times has nothing to say here.
    insert into tminus.launches (script_id, kind, due_at, started_at, start_until, description, script, sites, make_backup,
        abort_if_offline, start_within, site_timeout, expects_disconnect, detached, test_site_id, launch_at, cron, timezone,
        guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables, post_checks, digest, created_by)
    select s.id, 'test', tminus.clock(), tminus.clock(), tminus.clock() + patience, s.description, s.script, alone.sites, s.make_backup,
        true, patience, s.site_timeout, s.expects_disconnect, s.detached, s.test_site_id, case when s.cron is null then s.launch_at end, s.cron, s.timezone,
        s.guard_version, s.guard_free_space, s.guard_uptime, s.guard_cpu_load, s.variables, s.post_checks, tminus.digest(s.id), who
    from (select least(s.start_within, interval '15 minutes') as patience) p
    returning launches.id into the_launch;
    insert into tminus.site_runs (launch_id, site_id, position, site_digest)
    select the_launch, t.id, 1, (tminus.site_digests(alone.sites, tminus.code(s.script, s.post_checks), s.variables))[1];
    perform tminus.record('test_requested', who, s.id, the_launch, null, jsonb_build_object('site', t.id, 'digest', tminus.digest(s.id)));
    perform pg_notify('tminus', 'launch');
    return the_launch;
end $$;

grant execute on function tminus.is_tested(uuid) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.request_test(uuid, text) to tminus_author, tminus_approver, tminus_gateway;

-- Have an authorized scheduled script start now, and not at its time.

create index scheduled_scripts_run_now on tminus.scheduled_scripts (run_now_at) where run_now_at is not null;

-- Whatever ends an authorization, or uses it, ends this too.
create function tminus.forget_run_now() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    new.run_now_at := null;
    new.run_now_by := null;
    return new;
end $$;
create trigger c_forget_run_now before update on tminus.scheduled_scripts
    for each row when (new.run_now_at is not null and new.status <> 'scheduled')
    execute function tminus.forget_run_now();

-- Have an authorized scheduled script start now: one with a time of its own instead of then, one with a cron rule beside it. What was
-- authorized stays as it is, and is compared as ever; but its time was a part of that, so this takes an approver as an authorization does.
-- `by` is the person, or null for the caller. `reason` is for whoever asks later. Returns the scheduled script as the API shows it.
create function tminus.run_now(id uuid, by text default null, reason text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(run_now.by);
    why text := nullif(btrim(run_now.reason), '');
    demanding text;
    closed record;
begin
    s := tminus.lock_script(run_now.id);
    if not tminus.oversees() then
        raise exception '% is not an approver: only members of tminus_approver have a scheduled script run now', who using errcode = 'insufficient_privilege';
    end if;
    if s.status <> 'scheduled' then
        raise exception 'scheduled script % is %; only what is authorized and waits for its time can be run now', s.id, s.status
            using errcode = 'object_not_in_prerequisite_state',
                hint = case s.status when 'unauthorized' then 'Authorize it first: tminus.authorize(id, digest).' else 'tminus.scheduled_script(id) shows what became of it.' end;
    end if;
    if (select approval from tminus.policy) is distinct from 'off' and tminus.folded(who) in (tminus.folded(s.created_by), tminus.folded(s.updated_by)) then
        raise exception '% is the % of scheduled script %; its time was authorized as well, so somebody else has to have it run now', who,
            case when tminus.folded(who) = tminus.folded(s.created_by) then 'author' else 'last editor' end, s.id
            using errcode = 'insufficient_privilege';
    end if;
    if s.run_now_at is not null then
        raise exception 'scheduled script % is to run now already, by % since %', s.id, s.run_now_by, tminus.api_time(s.run_now_at)
            using errcode = 'object_not_in_prerequisite_state';
    elsif octet_length(why) > 4000 then
        raise exception 'the reason has % bytes; at most 4000 are kept', octet_length(why) using errcode = 'check_violation';
    end if;
    select i.name into demanding from tminus.instances i where i.requires_signature and tminus.is_alive(i) limit 1;
    if found then
        raise exception 'the daemon % launches only what was signed, and a signature covers the time of scheduled script %', demanding, s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Edit its time, and have it signed again.';
    end if;
    if s.authorization_expires_at <= tminus.clock() then
        raise exception 'the authorization of scheduled script % expired at %', s.id, tminus.api_time(s.authorization_expires_at)
            using errcode = 'object_not_in_prerequisite_state', hint = 'Have it authorized again.';
    elsif s.cron is null and s.launch_at <= tminus.clock() then
        raise exception 'scheduled script % is due already, since %', s.id, tminus.api_time(s.launch_at) using errcode = 'object_not_in_prerequisite_state';
    elsif s.stop_starting_at <= tminus.clock() or s.until < tminus.clock() or tminus.is_spent(s) then
        raise exception 'scheduled script % has come to its end (stop_starting_at, until or max_launches)', s.id using errcode = 'object_not_in_prerequisite_state';
    elsif tminus.is_held_back() then
        raise exception 'no launches start at present: a restored database has lost starts, or waits to learn of them' using errcode = 'object_not_in_prerequisite_state',
            hint = 'See tminus.lost_starts, and tminus.resume(note).';
    elsif tminus.is_set_aside(s.id) then
        raise exception 'scheduled script % was set aside, since the daemon died three times while it ran it', s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'See tminus.readmit(id, note).';
    elsif tminus.is_under_way(s.id) then
        raise exception 'a launch of scheduled script % is under way', s.id using errcode = 'object_not_in_prerequisite_state', hint = 'Wait until it has finished.';
    end if;
    perform tminus.require_sites(s);
    select t.id as site, tminus.why_closed(t.tags, s.windows, tminus.clock()) as because into closed
    from tminus.sites t
    where t.id = any (s.sites) and tminus.why_closed(t.tags, s.windows, tminus.clock()) is not null
    order by array_position(s.sites, t.id)
    limit 1;
    if found then
        raise exception 'scheduled script % cannot run now on %: %', s.id, closed.site, closed.because using errcode = 'object_not_in_prerequisite_state';
    end if;
    update tminus.scheduled_scripts u set run_now_at = tminus.clock(), run_now_by = who where u.id = s.id;
    perform tminus.record('run_now', who, s.id, null, null, jsonb_strip_nulls(jsonb_build_object('authorization', s.authorization_id,
        'launch_at', tminus.api_time(s.launch_at), 'reason', why)));
    perform pg_notify('tminus', 'scheduled_script');
    return tminus.scheduled_script(s.id);
end $$;

-- What was to run now, and could not within its start_within: late is worse than never. Of a cron rule the next occurrence stays.
create function tminus.settle_late_run_now(p_limit integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    settled integer := 0;
    message text;
begin
    for s in
        select q.* from tminus.scheduled_scripts q
        where q.status = 'scheduled' and q.run_now_at is not null and q.run_now_at + q.start_within < tminus.clock()
        order by q.run_now_at
        limit p_limit
        for update skip locked
    loop
        message := 'Missed: no daemon could start it within ' || s.start_within || ' of ' || tminus.api_time(s.run_now_at) || ', when ' || s.run_now_by || ' had it run now.';
        perform tminus.insert_missed_launch(s, 'missed', message, s.run_now_at);
        update tminus.scheduled_scripts u
        set run_now_at = null, run_now_by = null,
            status = case when s.cron is null then 'cancelled' else u.status end,
            status_reason = case when s.cron is null then message else u.status_reason end,
            cancelled_at = case when s.cron is null then tminus.clock() end,
            cancelled_by = case when s.cron is null then 'tminus' end,
            finished_at = case when s.cron is null then tminus.clock() else u.finished_at end
        where u.id = s.id;
        if s.cron is null then
            perform tminus.record('cancelled', 'tminus', s.id, null, null, jsonb_build_object('was', s.status, 'reason', 'missed'));
        end if;
        settled := settled + 1;
    end loop;
    return settled;
end $$;

grant execute on function tminus.run_now(uuid, text, text) to tminus_author, tminus_approver, tminus_gateway;

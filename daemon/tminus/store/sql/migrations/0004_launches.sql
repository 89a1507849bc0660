-- What the daemon makes of a wish: launches, site runs, backups, and the instances that do the work.

-- One process life of the daemon each.
--   alive -> draining -> stopped        it ended by itself
--   alive | draining -> dead            declared by another: its heartbeat is older than its ttl. Final: such an
--                                       instance can never write again, whatever it believes.
create table tminus.instances (
    id uuid primary key,
    name text not null,
    host text not null,
    pid integer not null,
    version text not null,
    max_sessions integer not null,
    ttl interval not null check (ttl >= interval '1 second'),
    -- Which sites it can serve: those whose runner is null, its name or one of its tags, and whose credential and jump host
    -- are in its configuration. See tminus.can_serve.
    runner_tags text[] not null default '{}',
    credentials text[] not null default '{}',
    jump_hosts text[] not null default '{}',
    -- On which sites it runs what nobody has authorized.
    test_sites text[] not null default '{}',
    -- It launches only what an approver signed.
    requires_signature boolean not null default false,
    -- The life of the server (tminus.incarnation) with which it compared what it remembers of its starts; see is_unsettled.
    settled_on text,
    -- The intent log that it writes (one of a host and folder, whichever process has it): who compares it does so for all its
    -- earlier owners.
    memory uuid not null default gen_random_uuid(),
    state text not null default 'alive' check (state in ('alive', 'draining', 'stopped', 'dead')),
    started_at timestamptz not null default tminus.clock(),
    heartbeat_at timestamptz not null default tminus.clock(),
    ended_at timestamptz,
    check ((state in ('stopped', 'dead')) = (ended_at is not null))
);
create index instances_living on tminus.instances (heartbeat_at) where state in ('alive', 'draining');

create function tminus.guard_instance() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if old.state in ('stopped', 'dead') then
        raise exception 'instance % is %; it cannot write any more', old.id, old.state
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if old.state = 'draining' and new.state = 'alive' then
        raise exception 'instance % drains; it cannot go back', old.id using errcode = 'object_not_in_prerequisite_state';
    end if;
    if to_jsonb(new) - '{heartbeat_at,state,ended_at,settled_on}'::text[] is distinct from to_jsonb(old) - '{heartbeat_at,state,ended_at,settled_on}'::text[] then
        raise exception 'what instance % is never changes', old.id using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger guard before update on tminus.instances for each row execute function tminus.guard_instance();

-- Whether an instance has all that it takes to reach a site. Bound to their operators now, by RETURN, so that they can be
-- inlined: a claim looks at thousands of sites.
create function tminus.is_runner_of(i tminus.instances, s tminus.sites) returns boolean
language sql immutable parallel safe
return s.runner is null or s.runner = i.name or s.runner = any (i.runner_tags);

create function tminus.can_serve(i tminus.instances, s tminus.sites) returns boolean
language sql immutable parallel safe
return tminus.is_runner_of(i, s) and coalesce(s.credential, 'default') = any (i.credentials)
    and (s.jump_host is null or s.jump_host = any (i.jump_hosts));

-- Whether an instance is heard of and takes work. One that drains starts nothing more, so it serves nobody.
create function tminus.is_alive(i tminus.instances) returns boolean
language sql stable parallel safe
return i.state = 'alive' and i.heartbeat_at + i.ttl > tminus.clock();

create function tminus.is_served(site_id text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from tminus.sites s join tminus.instances i on tminus.can_serve(i, s) where s.id = site_id and tminus.is_alive(i)
    )
$$;

-- Why no living instance can serve a site, as part of a sentence; null where one can.
create function tminus.why_unserved(s tminus.sites) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case
        when count(i.id) = 0 then 'no daemon is alive'
        when bool_or(tminus.can_serve(i, s)) then null
        when not bool_or(tminus.is_runner_of(i, s)) then 'no living daemon has the name or the tag ' || quote_literal(s.runner) || ', which is its runner'
        else 'no living daemon' || coalesce(' of its runner ' || quote_literal(s.runner), '') || ' has in its configuration the '
            || case
                when not bool_or(tminus.is_runner_of(i, s) and coalesce(s.credential, 'default') = any (i.credentials))
                    then 'credential ' || quote_literal(coalesce(s.credential, 'default'))
                when not bool_or(tminus.is_runner_of(i, s) and s.jump_host = any (i.jump_hosts)) then 'jump host ' || quote_literal(s.jump_host)
                else 'jump host ' || quote_literal(s.jump_host) || ' together with the credential ' || quote_literal(coalesce(s.credential, 'default'))
            end
        end
    from tminus.instances i
    where tminus.is_alive(i)
$$;

create table tminus.launches (
    id uuid primary key default gen_random_uuid(),
    script_id uuid not null references tminus.scheduled_scripts (id),
    kind text not null default 'scheduled' check (kind in ('scheduled', 'test', 'rehearsal', 'retry')),
    --   running -> finished | cancelled | halted; missed from the first
    state text not null default 'running' check (state in ('running', 'finished', 'halted', 'cancelled', 'missed')),
    reason text,
    due_at timestamptz not null,
    started_at timestamptz,
    finished_at timestamptz,
    -- While no site run of this launch runs, new ones start only until here. Moved on by each claim and each ending.
    start_until timestamptz not null,
    -- Of a retry: the launch whose sites it takes up again, the first of them all.
    retry_of uuid references tminus.launches (id),
    -- When a daemon told its log and its metrics how this launch ended: once, whoever ended it.
    told_at timestamptz,
    -- Of how many waves how many were opened: site runs up to position `open_to` may be claimed. `asked_wave` and
    -- `confirmed_wave` are the last that a person was asked to let go, and let go.
    waves integer not null default 1,
    wave integer not null default 1,
    open_to integer not null default 2147483647,
    asked_wave integer not null default 1,
    confirmed_wave integer not null default 1,
    -- While a person holds it, no site is claimed nor started.
    paused_at timestamptz,
    paused_by text,
    pause_note text,

    -- The content as launched: a later edit touches no running launch.
    description text not null,
    script text not null,
    sites text[] not null,
    make_backup boolean not null,
    abort_if_offline boolean not null,
    start_within interval not null,
    site_timeout interval not null,
    max_concurrency integer,
    expects_disconnect boolean not null default false,
    detached boolean not null default false,
    guard_version text,
    guard_free_space bigint,
    guard_uptime interval,
    guard_cpu_load integer,
    variables jsonb not null default '{}',
    wave_sizes text[],
    wave_order text[],
    wave_pause interval,
    wave_confirm boolean not null default false,
    confirm_within interval,
    max_failures text,
    max_failures_in_wave text,
    max_offline text,
    windows text[] not null default '{}',
    local_time timestamp,
    stop_starting_at timestamptz,
    missed_policy text not null default 'skip',
    until timestamptz,
    max_launches integer,
    post_checks text[] not null default '{}',
    -- With the above, all that the digest covers; launch_at is null where there is a cron rule.
    test_site_id text,
    launch_at timestamptz,
    cron text,
    timezone text,
    digest text,
    authorization_id bigint references tminus.authorizations (id),
    authorized_by text,
    -- No site starts from then on; null: whoever authorized it set no end.
    authorization_expires_at timestamptz,
    -- Who had it start before its time, or beside its cron rule; null: nobody.
    run_now_by text,
    created_by text not null,
    check ((kind = 'retry') = (retry_of is not null)),
    check (wave between 1 and waves and confirmed_wave <= waves and asked_wave <= waves),
    check ((paused_at is null) = (paused_by is null) and (paused_at is null) = (pause_note is null))
);
-- One occurrence, one launch, with any number of daemons.
create unique index launches_one_per_occurrence on tminus.launches (script_id, due_at) where kind = 'scheduled';
create index launches_unfinished on tminus.launches (due_at, id) where finished_at is null;
create index launches_missed on tminus.launches (finished_at) where state = 'missed';
create index launches_stopped on tminus.launches (finished_at) where finished_at is not null and state in ('halted', 'cancelled');
create index launches_untold on tminus.launches (finished_at) where finished_at is not null and told_at is null;
create index launches_unfinished_by_script on tminus.launches (script_id) where finished_at is null;
create index launches_retries on tminus.launches (retry_of) where retry_of is not null;
create index launches_by_script on tminus.launches (script_id, due_at desc);

-- One launch on one site: the unit of progress.
--
--   pending --claim--> running --> completed | failed | skipped | unknown     (an ending: never changes)
--      ^                 |                                         '---- resolved: a person's verdict beside it, once
--      '--- released ----'   only before the point of no return, which is the commit of executing_at
--
-- instance_id is null in a running row only between the death of its instance and its resolution by another.
create table tminus.site_runs (
    id bigint generated always as identity primary key,
    launch_id uuid not null references tminus.launches (id),
    site_id text not null references tminus.sites (id),
    position integer not null,
    wave integer not null default 1,
    -- Of this site, as authorized, or as it was when the rehearsal was asked for; null where nothing was (a missed launch).
    site_digest text,
    -- Of a rehearsal, which has no point of no return.
    rehearsal boolean not null default false,
    state text not null default 'pending',
    step text check (step in ('connecting', 'backing_up', 'checking', 'executing', 'verifying')),
    reason text,
    effect text,
    message text check (octet_length(message) <= 4000),
    output text,
    warnings text[] not null default '{}',
    diff text,
    -- What was found on the router after the session had proved nothing: for the person who resolves it.
    evidence text check (octet_length(evidence) <= 65536),

    instance_id uuid references tminus.instances (id),
    attempts integer not null default 0,
    -- Where a launch follows the clocks of its sites: when it is the time of this one.
    due_at timestamptz,
    -- When this site's turn first came; when, and after which failure, it is tried again.
    turn_at timestamptz,
    not_before timestamptz,
    retry_reason text check (retry_reason in ('offline', 'connection_lost', 'timed_out', 'busy')),
    -- Names the uploaded file (tminus-<nonce>.rsc) and marks the router's log.
    nonce text,
    -- Under which launch it was started, if not under this one: the database had forgotten that, and made the launch again.
    started_under uuid,
    -- What the router said of itself before the script: to be compared after a lost connection.
    uptime_before interval,

    -- Of the latest attempt.
    started_at timestamptz,
    executing_at timestamptz,
    finished_at timestamptz,

    -- A person's verdict on an unknown run, laid beside its ending: the ending says what could be proved, and stays.
    resolved_state text,
    resolved_effect text,
    resolved_at timestamptz,
    resolved_by text,
    resolution text check (octet_length(resolution) <= 4000),
    -- What counts: the verdict where there is one, else the state.
    outcome text generated always as (coalesce(resolved_state, state)) stored,

    unique (launch_id, site_id),
    constraint site_runs_resolution check ((
        resolved_at is null and resolved_state is null and resolved_effect is null and resolved_by is null and resolution is null
        or state = 'unknown' and resolved_at is not null and resolved_by is not null and resolution is not null
            and (resolved_state, resolved_effect) in (('completed', 'applied'), ('failed', 'partial'), ('failed', 'none'))
        ) is true),
    -- `is true`: a constraint holds where it is null, and reason and effect may be null.
    constraint site_runs_rehearsal check (rehearsal and executing_at is null or not rehearsal and reason is distinct from 'rehearsed'),
    constraint site_runs_state check ((
        state = 'pending' and effect is null and reason is null and instance_id is null and executing_at is null and finished_at is null
        or state = 'running' and effect is null and reason is null and finished_at is null and started_at is not null
            and (instance_id is not null or executing_at is not null)
        or finished_at is not null and (
            state = 'completed' and effect = 'applied' and reason is null and executing_at is not null
            or state = 'failed' and effect = 'none' and reason in ('offline', 'auth_failed', 'host_key_changed', 'identity_changed', 'upload_failed',
                'backup_incomplete', 'script_rejected', 'guard_failed', 'site_changed', 'store_lost', 'timed_out', 'connection_lost')
            or state = 'failed' and effect = 'partial' and reason = 'script_error' and executing_at is not null
            or state = 'failed' and effect = 'applied' and reason = 'check_failed' and executing_at is not null
            or state = 'skipped' and effect = 'none' and reason in ('missed', 'busy', 'halted', 'cancelled', 'site_disabled', 'rehearsed') and executing_at is null
            or state = 'unknown' and effect = 'unknown' and reason in ('timed_out', 'connection_lost', 'daemon_lost') and executing_at is not null)
        ) is true)
);
-- Room in each page: a step is written beside the row, without a word to any index.
alter table tminus.site_runs set (fillfactor = 60);
-- One change at a time per router, across all launches and all daemons.
create unique index site_runs_one_running_per_site on tminus.site_runs (site_id) where state = 'running';
create index site_runs_pending on tminus.site_runs (launch_id, position) where state = 'pending';
-- Not `where state = 'running'`: of two indexes with one condition the planner, for as long as it knows no statistics, may
-- walk through the wrong one.
create index site_runs_open on tminus.site_runs (launch_id) where finished_at is null;
create index site_runs_by_instance on tminus.site_runs (instance_id) where finished_at is null and instance_id is not null;
create index site_runs_unresolved on tminus.site_runs (id) where state = 'unknown' and resolved_at is null;
create index site_runs_by_site on tminus.site_runs (site_id, id desc);

-- An ending never changes. A function of this schema may lay a verdict beside it, once, and forget what it said at length.
create function tminus.guard_ending() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    -- `outcome` is not computed yet here.
    beside constant text[] := '{resolved_state,resolved_effect,resolved_at,resolved_by,resolution,outcome,output,diff,evidence}';
begin
    if tminus.is_own_function() and to_jsonb(new) - beside = to_jsonb(old) - beside
        and (new.output is null or new.output = old.output) and (new.diff is null or new.diff = old.diff)
        and (new.evidence is null or new.evidence = old.evidence)
        and (old.resolved_at is null or (new.resolved_state, new.resolved_effect, new.resolved_at, new.resolved_by, new.resolution)
            is not distinct from (old.resolved_state, old.resolved_effect, old.resolved_at, old.resolved_by, old.resolution)) then
        return new;
    end if;
    raise exception 'site run % has ended as %; an ending never changes', old.id, old.state using errcode = 'object_not_in_prerequisite_state';
end $$;

-- What may become of a site run. Each rule is the condition of a trigger, since a function called for every row would cost
-- more than the update; the function only says it. Each is asked only where one of its columns is written: to read a condition
-- costs an update of a few rows more than to write them. They are asked in the order of their names. In the sentence: %1$s the id, %2$s the state before, %3$s the state
-- afterwards, %4$s the instance before.
create function tminus.refuse_site_run() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception '%', format(tg_argv[0], old.id, old.state, new.state, old.instance_id) using errcode = tg_argv[1];
end $$;

create trigger ended before update on tminus.site_runs for each row
    when (old.state not in ('pending', 'running'))
    execute function tminus.guard_ending();
create trigger started before update of executing_at, nonce, state on tminus.site_runs for each row
    when (old.executing_at is not null
        and (new.executing_at is distinct from old.executing_at or new.nonce is distinct from old.nonce or new.state = 'pending'))
    execute function tminus.refuse_site_run('site run %1$s is past its point of no return; it cannot be started again', 'object_not_in_prerequisite_state');
create trigger taken before update of instance_id on tminus.site_runs for each row
    when (old.instance_id <> new.instance_id)
    execute function tminus.refuse_site_run('site run %1$s is instance %4$s''s; another may have it only after that one gave it up or was declared dead',
        'object_not_in_prerequisite_state');
create trigger not_begun before update of state, executing_at on tminus.site_runs for each row
    when (old.state = 'pending' and (new.state in ('completed', 'unknown') or new.executing_at is not null))
    execute function tminus.refuse_site_run('site run %1$s is pending; it cannot become %3$s without having run', 'object_not_in_prerequisite_state');
create trigger unmarked before update of step, executing_at, nonce on tminus.site_runs for each row
    when (new.step = 'executing' and new.executing_at is null or new.executing_at is not null and new.nonce is null
        or old.executing_at is null and new.executing_at is not null and new.step is distinct from 'executing')
    execute function tminus.refuse_site_run('site run %1$s cannot be executing without the time and the nonce of its point of no return', 'check_violation');
create trigger moved before update of launch_id, site_id, position, wave, site_digest, due_at on tminus.site_runs for each row
    when ((new.launch_id, new.site_id, new.position, new.wave, new.site_digest, new.due_at)
        is distinct from (old.launch_id, old.site_id, old.position, old.wave, old.site_digest, old.due_at))
    execute function tminus.refuse_site_run('launch, site, position and wave of site run %1$s never change', 'check_violation');

-- Only its own sweep (a function of this schema) may take a run from an instance that lives.
create function tminus.guard_owner() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if not tminus.is_own_function() and exists (select from tminus.instances i where i.id = old.instance_id and i.state in ('alive', 'draining')) then
        raise exception 'site run % is instance %''s, which lives', old.id, old.instance_id using errcode = 'object_not_in_prerequisite_state';
    end if;
    return new;
end $$;
create trigger orphaned before update of state, instance_id on tminus.site_runs for each row
    when (old.state = 'running' and new.state = 'running' and old.instance_id is not null and new.instance_id is null)
    execute function tminus.guard_owner();

create trigger keep before delete or truncate on tminus.site_runs for each statement execute function tminus.refuse_delete();
create trigger keep before delete or truncate on tminus.launches for each statement execute function tminus.refuse_delete();

create function tminus.guard_launch() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    mutable constant text[] := '{state,reason,finished_at,start_until,wave,open_to,asked_wave,confirmed_wave,paused_at,paused_by,pause_note}';
begin
    if to_jsonb(new) - mutable is distinct from to_jsonb(old) - mutable then
        raise exception 'the content of launch % never changes', old.id using errcode = 'check_violation';
    end if;
    if new.state <> old.state and (old.state <> 'running' or new.state = 'missed') or old.finished_at is not null then
        raise exception 'launch % is %; that never changes', old.id, old.state using errcode = 'object_not_in_prerequisite_state';
    end if;
    return new;
end $$;
-- Not for start_until alone (it is moved on with every claim and every ending), nor for told_at.
create trigger guard before update of id, script_id, kind, state, reason, finished_at, due_at, started_at, description, script, sites, make_backup,
    abort_if_offline, start_within, site_timeout, max_concurrency, expects_disconnect, detached, test_site_id, launch_at, cron, timezone, wave_sizes, wave_order, wave_pause, wave_confirm, confirm_within, max_failures, max_failures_in_wave, max_offline, guard_version, guard_free_space, guard_uptime, guard_cpu_load, variables,
    windows, local_time, stop_starting_at, missed_policy, until, max_launches, post_checks,
    waves, wave, open_to, digest, authorization_id, authorized_by, authorization_expires_at, run_now_by, created_by on tminus.launches
    for each row execute function tminus.guard_launch();

create function tminus.record_ending() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
    select 'site_' || new.state, coalesce(new.instance_id::text, 'tminus'), l.script_id, new.launch_id, new.site_id,
        jsonb_strip_nulls(jsonb_build_object('site_run', new.id, 'reason', new.reason, 'effect', new.effect))
    from tminus.launches l
    where l.id = new.launch_id;
    return null;
end $$;
create trigger audit after update of finished_at on tminus.site_runs for each row
    when (old.finished_at is null and new.finished_at is not null)
    execute function tminus.record_ending();

-- Exports: the normalised text once per SHA-256, and who had it when.
create table tminus.backup_texts (
    sha256 bytea primary key,
    -- All of it where `base` is null; else what stands between the first `head` and the last `tail` characters of the base,
    -- the rest being alike: the export after a change differs in a few lines from the one before it. To read it:
    -- tminus.export_text. `depth` is how many texts have to be read for it besides.
    text text not null,
    base bytea references tminus.backup_texts (sha256),
    head integer,
    tail integer,
    depth smallint not null default 0,
    check ((base is null and head is null and tail is null and depth = 0
        or base is not null and head >= 0 and tail >= 0 and depth between 1 and 8) is true)
);
create index backup_texts_by_base on tminus.backup_texts (base) where base is not null;
create trigger append_only before update or truncate on tminus.backup_texts
    for each statement execute function tminus.refuse_change_of_history();
-- Exports of which the owner of a site wanted the secrets, too: each text whole, once. See 0029_sensitive_exports.sql. A reader
-- sees no more than the number: the SHA-256 beside all the rest of the text would let a short password be guessed.
create table tminus.sensitive_texts (
    id bigint generated always as identity primary key,
    sha256 bytea not null unique,
    text text not null
);
create trigger append_only before update or truncate on tminus.sensitive_texts
    for each statement execute function tminus.refuse_change_of_history();
do $$
begin
    -- lz4 costs a tenth of the processor time of pglz, where the server was built with it. Where not, exports are stored
    -- as they are: compressing them would cost more than all else that the database does for a site run.
    alter table tminus.backup_texts alter column text set compression lz4;
    alter table tminus.sensitive_texts alter column text set compression lz4;
exception when feature_not_supported or invalid_parameter_value then
    alter table tminus.backup_texts alter column text set storage external;
    alter table tminus.sensitive_texts alter column text set storage external;
end $$;
create table tminus.backups (
    id bigint generated always as identity primary key,
    -- Copied from the site run; its own references vouch for them.
    site_id text not null,
    launch_id uuid not null,
    site_run_id bigint not null references tminus.site_runs (id),
    phase text not null check (phase in ('before', 'after')),
    taken_at timestamptz not null default tminus.clock(),
    -- Of the normalised text, in UTF-8.
    sha256 bytea not null references tminus.backup_texts (sha256),
    header text not null,
    raw_bytes integer not null,
    -- The same export with its secrets, where it was taken and stored as well.
    sensitive_id bigint references tminus.sensitive_texts (id),
    sensitive boolean not null generated always as (sensitive_id is not null) stored,
    unique (site_run_id, phase)
);
create index backups_by_site on tminus.backups (site_id, taken_at desc);
create index backups_by_text on tminus.backups (sha256);
create index backups_by_sensitive_text on tminus.backups (sensitive_id) where sensitive_id is not null;

-- What could not be removed from a router: retried for days, then told.
create table tminus.cleanup_debts (
    id bigint generated always as identity primary key,
    site_id text not null references tminus.sites (id),
    site_run_id bigint not null references tminus.site_runs (id),
    -- Nothing else may ever be removed from a router.
    file_name text not null check (file_name ~ '^tminus-[0-9a-f]{16}[.]rsc$'),
    since timestamptz not null default tminus.clock(),
    next_try_at timestamptz not null default tminus.clock(),
    attempts integer not null default 0,
    -- Why the latest attempt did not remove it.
    last_error text check (octet_length(last_error) <= 4000),
    -- The file is gone; or a person said that it is no matter any more (`forgiven_by`, and why).
    settled_at timestamptz,
    forgiven_by text,
    forgiven_note text,
    unique (site_run_id, file_name),
    check ((forgiven_by is null) = (forgiven_note is null) and (forgiven_by is null or settled_at is not null))
);
create index cleanup_debts_open on tminus.cleanup_debts (next_try_at) where settled_at is null;

-- Starts that a daemon remembers and this database does not know: it was restored to an earlier moment, or it is another
-- database. While one of them is not accepted by a person, nothing is started: what vanished could run a second time.
create table tminus.lost_starts (
    nonce text primary key,
    site_run_id bigint not null,
    launch_id uuid not null,
    site_id text not null,
    started_at timestamptz not null,
    noticed_at timestamptz not null default tminus.clock(),
    noticed_by text not null,
    accepted_at timestamptz,
    accepted_by text,
    note text,
    check ((accepted_at is null) = (accepted_by is null) and (accepted_at is null) = (note is null))
);
create trigger keep before delete or truncate on tminus.lost_starts for each statement execute function tminus.refuse_delete();

-- Acts that a host remembers as the latest ones of the audit trail and this database does not have: those before may be gone, too,
-- a cancel, a withdrawal or an edit among them. While one of them is not accepted by a person, nothing is started.
create table tminus.lost_acts (
    event_id bigint not null,
    event_hash text not null,
    seal bigint not null,
    noticed_at timestamptz not null default tminus.clock(),
    noticed_by text not null,
    accepted_at timestamptz,
    accepted_by text,
    note text,
    primary key (event_id, event_hash),
    check ((accepted_at is null) = (accepted_by is null) and (accepted_at is null) = (note is null))
);
create trigger keep before delete or truncate on tminus.lost_acts for each statement execute function tminus.refuse_delete();

-- Ask these as `(select tminus.is_paused())`, once a statement.
create function tminus.is_paused() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (select from tminus.lost_starts where accepted_at is null) or exists (select from tminus.lost_acts where accepted_at is null)
$$;

-- Which life of which server this is: another one after each start of the server, in a copy, and on a standby that took over.
create function tminus.incarnation() returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select extract(epoch from pg_postmaster_start_time())::text || '/' || d.oid
    from pg_database d
    where d.datname = current_database()
$$;
alter table tminus.instances alter column settled_on set default tminus.incarnation();

-- Whether a living instance has yet to say if this server, which was started or took over, knows all that it started; or
-- another in its place that has the same intent log. (An instance that registers has asked before.)
create function tminus.is_unsettled() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from tminus.instances i
        where i.state in ('alive', 'draining') and i.heartbeat_at + i.ttl > tminus.clock()
            and i.settled_on is distinct from (select tminus.incarnation())
            and not exists (select from tminus.instances o where o.memory = i.memory and o.settled_on = (select tminus.incarnation())
                and o.state in ('alive', 'draining')))
$$;

-- Whether nothing may be launched, claimed or started now, by anyone.
create function tminus.is_held_back() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select tminus.is_paused() or tminus.is_unsettled() $$;

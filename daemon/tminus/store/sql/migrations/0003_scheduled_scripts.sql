-- The wish: script, sites, time, options. A client inserts and edits it with plain SQL; this file guards what it may say.
--
--   unauthorized --authorize--> scheduled --its time--> launched
--        ^                        |  |
--        '------- any edit -------'  '--cancel, or missed--> cancelled      (cancel also from unauthorized and launched)
--
-- With `cron` the status returns to `scheduled` after each launch.

create table tminus.scheduled_scripts (
    id uuid primary key default gen_random_uuid(),

    -- The client's.
    description text not null default '' check (octet_length(description) <= 2000),
    summary text check (octet_length(summary) <= 10000),
    script text not null,
    -- Its sites, or the query that is resolved into them before it is authorized; until then there are none. See 0020_targets.sql.
    sites text[] not null,
    site_query jsonb,
    test_site_id text references tminus.sites (id),
    make_backup boolean not null default true,
    abort_if_offline boolean not null default false,
    notify text[] not null default '{}',
    launch_at timestamptz check (isfinite(launch_at)),
    cron text,
    timezone text,
    start_within interval not null default interval '1 hour',
    site_timeout interval not null default interval '10 minutes',
    max_concurrency integer check (max_concurrency between 1 and 100000),
    -- How the script may treat its own session: end it, and be verified by coming back; or not need it at all.
    expects_disconnect boolean not null default false,
    detached boolean not null default false,
    -- Where it goes first, and when it stops: see 0016_rollout.sql. All null, or false: everywhere at once, to the end.
    wave_sizes text[],
    wave_order text[],
    wave_pause interval,
    wave_confirm boolean not null default false,
    confirm_within interval,
    max_failures text,
    max_failures_in_wave text,
    max_offline text,
    -- What has to hold on a router, or the script is not started there.
    guard_version text,
    guard_free_space bigint check (guard_free_space between 1 and 1000000000000000),
    guard_uptime interval,
    guard_cpu_load integer check (guard_cpu_load between 0 and 100),
    -- Values for the $(names) in the script, where a site has none of its own.
    variables jsonb not null default '{}' check (jsonb_typeof(variables) = 'object'),
    -- Named windows (0020): one of them has to be open for a site to start.
    windows text[] not null default '{}',
    -- Instead of launch_at and cron: on the clock on the wall of each site (0021).
    local_time timestamp,
    -- No site starts from then on.
    stop_starting_at timestamptz check (isfinite(stop_starting_at)),
    -- With cron: whether the latest occurrence that was missed, and no other, is made up for within its start_within; and what
    -- ends the rule.
    missed_policy text not null default 'skip',
    until timestamptz check (isfinite(until)),
    max_launches integer,
    -- RouterOS expressions that have to be true on each site after the script: see 0025_post_checks.sql.
    post_checks text[] not null default '{}',

    -- Written by triggers and functions only.
    created_by text not null,
    updated_by text not null,
    status text not null default 'unauthorized' check (status in ('unauthorized', 'scheduled', 'launched', 'cancelled')),
    status_reason text,
    started_at timestamptz,
    finished_at timestamptz,
    authorization_id bigint,
    authorized_at timestamptz,
    authorized_by text,
    authorization_expires_at timestamptz,
    -- A person had it start then and not at its time: see 0026_run_now.sql.
    run_now_at timestamptz,
    run_now_by text,
    -- The id that its launch is to have, chosen beforehand: a restored database makes no second launch of it, and a signature names it.
    run_now_launch uuid,
    cancelled_at timestamptz,
    cancelled_by text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- What the daemon found in the script: a list of {code, severity, line, column, message, count}; null until it has
    -- looked. With it comes a summary where the client gave none. Neither is content: no digest covers them, and writing
    -- them is no edit.
    findings jsonb check (jsonb_typeof(findings) = 'array' and octet_length(findings::text) <= 262144),
    summary_generated boolean not null default false,

    constraint run_now_only_when_scheduled check ((run_now_at is null) = (run_now_by is null) and (run_now_at is null) = (run_now_launch is null) and (run_now_at is null or status = 'scheduled')),
    constraint scheduled_only_when_authorized check (status <> 'scheduled' or authorization_id is not null)
);
-- The due query, and the queries for what was missed and for the next occurrence of a cron row, each by its own index.
create index scheduled_scripts_due on tminus.scheduled_scripts (launch_at) where status = 'scheduled';
create index scheduled_scripts_waiting on tminus.scheduled_scripts (launch_at) where status = 'unauthorized';
create index scheduled_scripts_expiring on tminus.scheduled_scripts (authorization_expires_at) where status = 'scheduled';
create index scheduled_scripts_unplanned on tminus.scheduled_scripts (id)
    where cron is not null and launch_at is null and status in ('unauthorized', 'scheduled');
create index scheduled_scripts_unlinted on tminus.scheduled_scripts (created_at) where findings is null and status <> 'cancelled';

-- `sites`, mirrored by trigger, so that a site that is named can't vanish.
create table tminus.scheduled_script_sites (
    script_id uuid not null references tminus.scheduled_scripts (id) on delete cascade,
    site_id text not null references tminus.sites (id),
    position integer not null,
    primary key (script_id, site_id)
);
create index scheduled_script_sites_by_site on tminus.scheduled_script_sites (site_id);

-- Each decision to authorize, with the digests it covers. Append-only; a scheduled script names its current one.
create table tminus.authorizations (
    id bigint generated always as identity primary key,
    script_id uuid not null references tminus.scheduled_scripts (id),
    digest text not null,
    row_digest text not null,
    site_ids text[] not null,
    site_digests text[] not null,
    -- The script and its options as they were, for the next approver to see what changed. (jsonb keeps no order, and needs none.)
    content jsonb not null default '{}',
    -- As the approver saw them.
    author text not null,
    editor text not null,
    approver text not null,
    reason text check (octet_length(reason) <= 4000),
    -- Nothing is started after it; null: no such moment.
    expires_at timestamptz,
    -- The approver's, over tminus.statement: an SSH signature (armoured SSHSIG). The daemon verifies it, not the database.
    signature text check (octet_length(signature) <= 16384),
    -- What it is the authorization of. 'launch': all launches of the scheduled script. Else one act on one launch: to make it
    -- (a retry or a test, of the sites that are named here; now, and not at its time), to let its wave `wave` go, or to let it go on that was
    -- paused at `paused_at`.
    act text not null default 'launch' check (act in ('launch', 'run_now', 'retry', 'test', 'confirm', 'resume')),
    launch_id uuid,
    wave integer,
    paused_at timestamptz,
    session text not null default session_user,
    at timestamptz not null default tminus.clock(),
    check ((act = 'launch') = (launch_id is null) and (act = 'confirm') = (wave is not null) and (act = 'resume') = (paused_at is not null)),
    -- A further act is recorded here because it is signed. (Where nobody asks for signatures, the event is all.)
    check (act = 'launch' or signature is not null and expires_at is not null)
);
-- One launch is made by one signature.
create unique index authorizations_one_launch on tminus.authorizations (launch_id) where act in ('run_now', 'retry', 'test');
create index authorizations_by_launch on tminus.authorizations (launch_id) where launch_id is not null;
create index authorizations_by_script on tminus.authorizations (script_id, id);
create trigger append_only before update or delete or truncate on tminus.authorizations
    for each statement execute function tminus.refuse_change_of_history();
alter table tminus.scheduled_scripts
    add foreign key (authorization_id) references tminus.authorizations (id);

-- Five fields of digits, names, * , - / and no more: Python's reader decides the rest, and must never see a sixth field.
create function tminus.plain_cron(expression text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select case lower(btrim(expression))
        when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *'
        when '@monthly' then '0 0 1 * *' when '@weekly' then '0 0 * * 0'
        when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *' when '@hourly' then '0 * * * *'
        else btrim(regexp_replace(expression, '[[:space:]]+', ' ', 'g'))
    end
$$;

-- One field of a cron expression: numbers of its range (or names), with ranges, steps and lists. What readers of cron
-- disagree about is refused: a range that does not rise (5-5 is every minute to one of them), a step that never steps.
-- `names` are those of low, low + 1, ...; the last day of a range may be called sun.
create function tminus.is_cron_field(field text, low integer, high integer, names text[]) returns boolean
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    part text;
    m text[];
    first integer;
    last integer;
    step integer;
begin
    foreach part in array string_to_array(lower(field), ',') loop
        m := regexp_match(part, '^(?:([*])|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?$');
        if m is null then
            return false;
        end if;
        first := case when m[1] = '*' then low when m[2] ~ '^[0-9]' then m[2]::integer else low - 1 + array_position(names, m[2]) end;
        last := case when m[1] = '*' then high when m[3] = 'sun' and high = 7 then 7 when m[3] ~ '^[0-9]' then m[3]::integer
            else low - 1 + array_position(names, m[3]) end;
        step := m[4];
        if first is null or first not between low and high then
            return false;
        end if;
        if m[3] is not null and (last is null or last not between low and high or first >= last) then
            return false;
        end if;
        if step is not null and (last is null or step not between 1 and last - first) then
            return false;
        end if;
    end loop;
    return true;
end $$;

-- The values that a field means which is_cron_field takes.
create function tminus.cron_values(field text, low integer, high integer, names text[]) returns setof integer
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select generate_series(b.first, case when m[1] = '*' then high when m[3] is null then b.first else coalesce(array_position(names, m[3]) + low - 1, m[3]::integer) end,
        coalesce(m[4]::integer, 1))
    from string_to_table(lower(field), ',') as part,
        regexp_match(part, '^(?:([*])|([0-9]{1,2}|[a-z]{3})(?:-([0-9]{1,2}|[a-z]{3}))?)(?:/([0-9]{1,2}))?$') as m,
        lateral (select case when m[1] = '*' then low else coalesce(array_position(names, m[2]) + low - 1, m[2]::integer) end as first) b
$$;

create function tminus.check_cron(expression text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    fields text[] := string_to_array(expression, ' ');
    bounds constant integer[][] := array[[0, 59], [0, 23], [1, 31], [1, 12], [0, 7]];
    words constant text[] := array['minute', 'hour', 'day of month', 'month', 'day of week'];
    months constant text[] := array['jan','feb','mar','apr','may','jun','jul','aug','sep','oct','nov','dec'];
    days constant text[] := array['sun','mon','tue','wed','thu','fri','sat'];
begin
    if cardinality(fields) <> 5 then
        raise exception 'cron % has % fields; it takes exactly five (minute hour day-of-month month day-of-week) or an @-name such as @daily',
            quote_literal(tminus.printable(expression)), cardinality(fields) using errcode = 'check_violation', column = 'cron';
    end if;
    for i in 1..5 loop
        if not tminus.is_cron_field(fields[i], bounds[i][1], bounds[i][2], case i when 4 then months when 5 then days else '{}' end) then
            raise exception 'cron %: the % field % is not understood', quote_literal(tminus.printable(expression)), words[i], quote_literal(tminus.printable(fields[i]))
                using errcode = 'check_violation', column = 'cron',
                    hint = 'A field is *, a number or a name; ranges rise (1-5), steps follow a range or * (*/15), lists have commas.';
        end if;
    end loop;
    -- Where a day of the week is given as well, and neither begins with *, either is enough.
    if (left(fields[3], 1) = '*' or left(fields[5], 1) = '*')
        and (select min(d) from tminus.cron_values(fields[3], 1, 31, '{}') as d)
            > (select max(case when m = 2 then 29 when m in (4, 6, 9, 11) then 30 else 31 end) from tminus.cron_values(fields[4], 1, 12, months) as m) then
        raise exception 'cron %: none of its months has such a day', quote_literal(tminus.printable(expression))
            using errcode = 'check_violation', column = 'cron', hint = 'It would never be launched. Give a day that one of its months has.';
    end if;
end $$;

-- A RouterOS version, to be compared: 7.9 before 7.12, 7.24beta1 before 7.24rc1 before 7.24. What stands behind the version
-- is no part of it ("7.22 (stable)"). Null for anything else.
create function tminus.version_rank(version text) returns integer[]
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select array[m[1]::integer, coalesce(m[2], '0')::integer, coalesce(m[3], '0')::integer,
        case m[4] when 'alpha' then 0 when 'beta' then 1 when 'rc' then 2 else 3 end, coalesce(m[5], '0')::integer]
    from regexp_match(btrim(version), '^([0-9]{1,3})(?:[.]([0-9]{1,3})(?:[.]([0-9]{1,3}))?(?:(alpha|beta|rc)([0-9]{1,6}))?)?(?:[ _-].*)?$') as m
    where m is not null
$$;

-- (No backslashes: what they mean is a setting of the session.)
-- A range of versions in its one form ('>=7.12 <8'): comparisons that must all hold, a version alone means that one. Null for
-- null and blanks; refuses anything else in a sentence that begins with `what`.
create function tminus.plain_version_range(version_range text, what text) returns text
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    plain text := btrim(regexp_replace(regexp_replace(version_range, '[[:space:],]+', ' ', 'g'), '(?<=[<>=]) ', '', 'g'));
begin
    if plain ~ '^((>=|<=|>|<|=)?[0-9]{1,3}([.][0-9]{1,3}([.][0-9]{1,3})?((alpha|beta|rc)[0-9]{1,6})?)?( |$)){1,8}$' then
        return regexp_replace(plain, '(^|(?<= ))(?=[0-9])', '=', 'g');
    elsif plain <> '' then
        raise exception '% % is no range of versions', what, quote_literal(tminus.printable(version_range))
            using errcode = 'check_violation', column = split_part(what, ':', 1), hint = 'Write comparisons that must all hold, such as >=7.12 <8, or one version, such as 7.20.8.';
    end if;
    return null;
end $$;

-- Does a version lie in a range in its one form? False for what is no version.
create function tminus.is_version_in(version text, version_range text) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select coalesce(bool_and(case m[1]
        when '>=' then v.rank >= w.rank when '<=' then v.rank <= w.rank when '>' then v.rank > w.rank when '<' then v.rank < w.rank
        else v.rank = w.rank end), false)
    from regexp_matches(version_range, '(>=|<=|>|<|=)([^ ]+)', 'g') as m,
        lateral (select tminus.version_rank(version) as rank) as v,
        lateral (select tminus.version_rank(m[2]) as rank) as w
$$;

-- Who an UPDATE says it acts for. Fires only when the statement names updated_by, and before trigger b_guard, which can
-- not tell 'named the same person again' from 'named nobody'; so the name is passed on with a mark in front.
create function tminus.note_named_editor() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    new.updated_by := e'\001' || tminus.principal(new.updated_by);
    return new;
end $$;
create trigger a_named_editor before update of updated_by on tminus.scheduled_scripts
    for each row execute function tminus.note_named_editor();

create function tminus.guard_scheduled_script() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    own boolean := tminus.is_own_function();
    edited boolean;
    column_name text;
    unknown_sites text[];
    linted tminus.scheduled_scripts;
begin
    if tg_op = 'INSERT' then
        new.id := coalesce(new.id, gen_random_uuid());
        new.created_by := tminus.principal(new.created_by);
        if new.status <> 'unauthorized' or new.status_reason is not null or new.started_at is not null or new.finished_at is not null
            or new.authorization_id is not null or new.authorized_at is not null or new.authorized_by is not null or new.authorization_expires_at is not null
            or new.cancelled_at is not null or new.cancelled_by is not null or new.created_at is not null or new.updated_at is not null
            or new.findings is not null or new.summary_generated or new.run_now_at is not null or new.run_now_by is not null or new.run_now_launch is not null
            or new.updated_by is distinct from new.created_by and new.updated_by is not null then
            raise exception 'a scheduled script begins unauthorized: status, started_at, authorized_*, run_now_*, cancelled_*, created_at, updated_* and findings are not the client''s to set'
                using errcode = 'insufficient_privilege', hint = 'Insert without them, then call tminus.authorize(id, digest, approver).';
        end if;
        new.updated_by := new.created_by;
        new.created_at := tminus.clock();
        new.updated_at := new.created_at;
        if exists (select from tminus.scheduled_scripts where id = new.id) then
            return new;  -- a repeated INSERT: ON CONFLICT, or the primary key, decides
        end if;
    elsif not own and new.findings is not null and new.findings is distinct from old.findings
        and pg_has_role(session_user, 'tminus_daemon', 'member') then
        linted := old;
        linted.findings := new.findings;
        if old.summary is null or old.summary_generated then
            linted.summary := new.summary;
            linted.summary_generated := new.summary is not null;
        end if;
        if new is distinct from linted then
            raise exception 'with the findings of scheduled script % nothing but a summary that no client gave may change', old.id
                using errcode = 'insufficient_privilege';
        end if;
        return new;  -- no edit
    else
        if left(new.updated_by, 1) = e'\001' then
            new.updated_by := substr(new.updated_by, 2);
        elsif not own then
            new.updated_by := session_user;
        end if;
        select key into column_name
        from jsonb_each(to_jsonb(new) - '{description,summary,script,sites,test_site_id,make_backup,abort_if_offline,notify,launch_at,cron,timezone,start_within,site_timeout,max_concurrency,expects_disconnect,detached,wave_sizes,wave_order,wave_pause,wave_confirm,confirm_within,max_failures,max_failures_in_wave,max_offline,guard_version,guard_free_space,guard_uptime,guard_cpu_load,variables,site_query,windows,local_time,stop_starting_at,missed_policy,until,max_launches,post_checks,updated_by}'::text[])
        where value is distinct from to_jsonb(old) -> key
        limit 1;
        if column_name is not null and not own then
            raise exception 'column % of a scheduled script is not the client''s to set; nothing was changed', column_name
                using errcode = 'insufficient_privilege',
                    hint = 'Use tminus.authorize(id, digest, approver) or tminus.cancel(id, by).';
        end if;
        if not own and not pg_has_role(session_user, 'tminus_gateway', 'member') and old.created_by <> session_user then
            raise exception 'scheduled script % belongs to %, so % may not edit it', old.id, old.created_by, session_user
                using errcode = 'insufficient_privilege';
        end if;
    end if;

    if not own then
        -- The digest is over what is sent: LF line ends.
        new.script := replace(new.script, e'\r\n', e'\n');
        new.cron := tminus.plain_cron(new.cron);
        new.start_within := tminus.plain_duration(new.start_within);
        new.site_timeout := tminus.plain_duration(new.site_timeout);
        new.guard_uptime := tminus.plain_duration(new.guard_uptime);
        if new.site_query is not null then
            new.site_query := tminus.plain_site_query(new.site_query);
            if tg_op = 'INSERT' or new.site_query is distinct from old.site_query then
                if cardinality(new.sites) > 0 and (tg_op = 'INSERT' or new.sites is distinct from old.sites) then
                    raise exception 'give sites or site_query, not both' using errcode = 'check_violation', column = 'sites';
                end if;
                new.sites := '{}';
            elsif coalesce(cardinality(new.sites), 0) = 0 then
                new.sites := old.sites;  -- an upsert that says the same again
            elsif new.sites is distinct from old.sites then
                raise exception 'the sites of scheduled script % are what its site_query means', old.id
                    using errcode = 'check_violation', column = 'sites', hint = 'Edit site_query, or set it to null and give sites.';
            end if;
        end if;
        new.guard_version := tminus.plain_version_range(new.guard_version, 'guard_version');
        new.wave_pause := tminus.plain_duration(new.wave_pause);
        new.confirm_within := tminus.plain_duration(new.confirm_within);
        new.wave_sizes := nullif(new.wave_sizes, '{}');
        new.wave_order := nullif(new.wave_order, '{}');
        new.post_checks := coalesce(new.post_checks, '{}');
        -- Without a summary of its own a client leaves the generated one as it is: an upsert must not take it for an edit.
        new.summary := case when btrim(new.summary, e' \t\r\n') <> '' then new.summary when tg_op = 'UPDATE' and old.summary_generated then old.summary end;
    end if;

    edited := tg_op = 'INSERT'
        or (new.description, new.summary, new.script, new.site_query, new.test_site_id, new.make_backup, new.abort_if_offline, new.notify,
            new.cron, new.timezone, new.start_within, new.site_timeout, new.max_concurrency, new.expects_disconnect, new.detached,
            new.wave_sizes, new.wave_order, new.wave_pause, new.wave_confirm, new.confirm_within, new.max_failures, new.max_failures_in_wave, new.max_offline,
            new.guard_version, new.guard_free_space, new.guard_uptime, new.guard_cpu_load, new.variables,
            new.windows, new.local_time, new.stop_starting_at, new.missed_policy, new.until, new.max_launches, new.post_checks)
        is distinct from
           (old.description, old.summary, old.script, old.site_query, old.test_site_id, old.make_backup, old.abort_if_offline, old.notify,
            old.cron, old.timezone, old.start_within, old.site_timeout, old.max_concurrency, old.expects_disconnect, old.detached,
            old.wave_sizes, old.wave_order, old.wave_pause, old.wave_confirm, old.confirm_within, old.max_failures, old.max_failures_in_wave, old.max_offline,
            old.guard_version, old.guard_free_space, old.guard_uptime, old.guard_cpu_load, old.variables,
            old.windows, old.local_time, old.stop_starting_at, old.missed_policy, old.until, old.max_launches, old.post_checks)
        or not own and new.launch_at is distinct from old.launch_at
        -- What a query means is no edit of what was not authorized yet: see tminus.resolve_sites.
        or new.sites is distinct from old.sites and not (own and old.status = 'unauthorized' and new.site_query is not null);
    if not edited then
        if new.local_time is not null and new.sites is distinct from old.sites then
            new.launch_at := tminus.first_local_instant(new.local_time, new.sites);
        end if;
        if tg_op = 'UPDATE' and not own then
            new.updated_by := old.updated_by;  -- an upsert that changes nothing is no edit
        end if;
        return new;
    end if;

    if tg_op = 'UPDATE' then
        if old.status = 'launched' and old.cron is null then
            raise exception 'scheduled script % was launched at %; it cannot be edited any more', old.id, tminus.api_time(old.started_at)
                using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
        elsif old.status = 'cancelled' then
            raise exception 'scheduled script % is cancelled (%); it cannot be edited any more', old.id, coalesce(old.status_reason, 'by ' || old.cancelled_by)
                using errcode = 'object_not_in_prerequisite_state', hint = 'Insert a new scheduled script.';
        end if;
        if new.cron is not null then
            -- The digest of a cron row holds no launch_at, so nobody but the daemon may choose one.
            if new.launch_at is distinct from old.launch_at and (new.launch_at is not null or old.cron is not null) then
                raise exception 'launch_at of scheduled script % follows its cron; edit cron, or set cron and timezone to null', old.id
                    using errcode = 'check_violation', column = 'launch_at';
            end if;
            -- A change of the rule of time replaces what the daemon had planned by it.
            if (new.cron, coalesce(new.timezone, 'UTC'), new.until, new.max_launches) is distinct from (old.cron, old.timezone, old.until, old.max_launches) then
                new.launch_at := null;
            end if;
        end if;
    end if;
    -- NULL is no way to ask for a default: who says it may have meant something else.
    column_name := (array_remove(array[
        case when new.script is null then 'script' end, case when new.description is null then 'description' end,
        case when new.make_backup is null then 'make_backup' end, case when new.abort_if_offline is null then 'abort_if_offline' end,
        case when new.notify is null then 'notify' end, case when new.start_within is null then 'start_within' end,
        case when new.site_timeout is null then 'site_timeout' end, case when new.expects_disconnect is null then 'expects_disconnect' end,
        case when new.detached is null then 'detached' end, case when new.wave_confirm is null then 'wave_confirm' end], null))[1];
    if column_name is not null then
        raise exception '% is null', column_name using errcode = 'not_null_violation', column = column_name,
            hint = case column_name when 'script' then 'Give the script to run.' else format('Leave %s out to have its default, or give a value.', column_name) end;
    end if;
    if octet_length(new.description) > 2000 or octet_length(new.summary) > 10000 then
        raise exception 'description takes at most 2000 bytes and summary 10000' using errcode = 'check_violation', column = case when octet_length(new.description) > 2000 then 'description' else 'summary' end;
    end if;
    if new.max_concurrency not between 1 and 100000 then
        raise exception 'max_concurrency must lie between 1 and 100000' using errcode = 'check_violation', column = 'max_concurrency';
    end if;

    if btrim(new.script, e' \t\r\n') = '' then
        raise exception 'the script is empty' using errcode = 'check_violation', column = 'script';
    end if;
    if octet_length(new.script) > 1048576 then
        raise exception 'the script is % bytes long; at most 1048576 (1 MiB) are allowed', octet_length(new.script)
            using errcode = 'check_violation', column = 'script', hint = 'Let the script fetch large data, or split it.';
    end if;

    if coalesce(cardinality(new.sites), 0) = 0 and new.site_query is null then
        raise exception 'a scheduled script needs at least one site' using errcode = 'check_violation', column = 'sites';
    end if;
    if array_ndims(new.sites) > 1 or array_position(new.sites, null) is not null then
        raise exception 'sites is a plain list of site ids without nulls' using errcode = 'check_violation', column = 'sites';
    end if;
    if cardinality(new.sites) <> (select count(distinct s) from unnest(new.sites) as s) then
        raise exception 'site % is named more than once',
            (select s from unnest(new.sites) as s group by s having count(*) > 1 order by s limit 1)
            using errcode = 'unique_violation', hint = 'Name each site once.';
    end if;
    select array_agg(s order by s) into unknown_sites
    from unnest(new.sites || new.test_site_id) as s
    where s is not null and not exists (select from tminus.sites where id = s);
    if unknown_sites is not null then
        raise exception 'unknown site%: %', case when cardinality(unknown_sites) > 1 then 's' else '' end,
            tminus.printable(array_to_string(unknown_sites[1:5], ', ')) || case when cardinality(unknown_sites) > 5 then format(' and %s more', cardinality(unknown_sites) - 5) else '' end
            using errcode = 'foreign_key_violation', column = 'sites', hint = 'Insert them into tminus.sites first.';
    end if;
    if array_ndims(new.notify) > 1 or cardinality(new.notify) > 1000
        or exists (select from unnest(new.notify) as n where n is null or n !~ '^[^[:cntrl:]]{1,200}$') then
        raise exception 'notify is a plain list of at most 1000 user ids of 1 to 200 printable characters' using errcode = 'check_violation', column = 'notify';
    end if;

    perform tminus.check_windows(new.windows);
    perform tminus.check_post_checks(new.post_checks);
    if tg_op = 'INSERT' and new.cron is not null and new.launch_at is not null then
        raise exception 'give launch_at or cron, not both' using errcode = 'check_violation', column = 'launch_at';
    end if;
    if new.local_time is not null then
        if new.cron is not null or new.launch_at is not null and (tg_op = 'INSERT' or new.launch_at is distinct from old.launch_at) then
            raise exception 'local_time says when by itself; give no launch_at and no cron with it' using errcode = 'check_violation', column = 'local_time',
                hint = 'launch_at then shows when it is first that time on one of the sites.';
        end if;
        if not isfinite(new.local_time) then
            raise exception 'local_time must be a time' using errcode = 'check_violation', column = 'local_time';
        end if;
        if new.wave_sizes is not null then
            -- A wave that is opened after the time of its sites would start them at another time of their day, or never.
            raise exception 'wave_sizes does not go with local_time: the clocks of the sites say when each starts' using errcode = 'check_violation', column = 'wave_sizes';
        end if;
        -- Which clocks a site_query means is not known until it is resolved.
        new.launch_at := coalesce(tminus.first_local_instant(new.local_time, new.sites), new.local_time at time zone 'UTC');
    end if;
    if new.cron is null and new.launch_at is null then
        raise exception 'give launch_at (one launch) or cron (many)' using errcode = 'check_violation', column = 'launch_at',
            hint = 'Or local_time: once, at a time on the clock of each site.';
    end if;
    if new.stop_starting_at is not null and (new.cron is not null or new.stop_starting_at <= new.launch_at) then
        raise exception 'stop_starting_at is a moment after launch_at; a cron rule has start_within for each of its launches' using errcode = 'check_violation', column = 'stop_starting_at';
    end if;
    if new.cron is null and new.timezone is not null then
        raise exception 'timezone goes with cron; launch_at already is an instant' using errcode = 'check_violation', column = 'timezone';
    end if;
    if new.cron is not null then
        new.timezone := coalesce(new.timezone, 'UTC');
        perform tminus.check_cron(new.cron);
        if not tminus.is_timezone(new.timezone) then
            raise exception 'there is no time zone %', quote_literal(tminus.printable(new.timezone))
                using errcode = 'check_violation', column = 'timezone', hint = 'Use a name of the IANA database, such as Europe/Berlin.';
        end if;
    end if;
    if (new.missed_policy in ('skip', 'run_latest')) is not true then
        raise exception 'missed_policy is skip or run_latest' using errcode = 'check_violation', column = 'missed_policy';
    end if;
    if new.cron is null and (new.missed_policy <> 'skip' or new.until is not null or new.max_launches is not null) then
        raise exception 'missed_policy, until and max_launches go with cron' using errcode = 'check_violation', column = 'missed_policy';
    end if;
    if new.max_launches not between 1 and 1000000 then
        raise exception 'max_launches must lie between 1 and 1000000' using errcode = 'check_violation', column = 'max_launches';
    end if;
    if new.until <= tminus.clock() and (tg_op = 'INSERT' or new.until is distinct from old.until) then
        raise exception 'until % lies in the past (it is %)', tminus.api_time(new.until), tminus.api_time(tminus.clock()) using errcode = 'check_violation', column = 'until';
    end if;
    if new.launch_at < tminus.clock() and (tg_op = 'INSERT' or new.launch_at is distinct from old.launch_at) then
        raise exception 'launch_at % lies in the past (it is %)', tminus.api_time(new.launch_at), tminus.api_time(tminus.clock())
            using errcode = 'check_violation', column = 'launch_at', hint = 'Give a time that is still to come.';
    end if;
    if new.launch_at > tminus.clock() + interval '10 years' then
        raise exception 'launch_at lies more than ten years ahead' using errcode = 'check_violation', column = 'launch_at';
    end if;
    if new.start_within not between interval '1 second' and interval '168 hours' then
        raise exception 'start_within must lie between 1 second and 7 days' using errcode = 'check_violation', column = 'start_within';
    end if;
    if new.site_timeout not between interval '5 seconds' and interval '24 hours' then
        raise exception 'site_timeout must lie between 5 seconds and 24 hours' using errcode = 'check_violation', column = 'site_timeout';
    end if;
    if new.guard_free_space not between 1 and 1000000000000000 then
        raise exception 'guard_free_space is a number of bytes, from 1 to 1000000000000000' using errcode = 'check_violation', column = 'guard_free_space';
    end if;
    if new.guard_uptime not between interval '1 second' and interval '87600 hours' then
        raise exception 'guard_uptime must lie between 1 second and ten years' using errcode = 'check_violation', column = 'guard_uptime';
    end if;
    perform tminus.check_variables(new.variables, 'variables');
    if new.guard_cpu_load not between 0 and 100 then
        raise exception 'guard_cpu_load is a percentage, from 0 to 100' using errcode = 'check_violation', column = 'guard_cpu_load';
    end if;
    perform tminus.check_rollout(new);

    if tg_op = 'UPDATE' then
        if new.summary is distinct from old.summary then
            new.summary_generated := false;
        end if;
        if (new.script, new.site_timeout, new.post_checks) is distinct from (old.script, old.site_timeout, old.post_checks) or new.summary is null and old.summary is not null then
            new.findings := null;  -- the daemon looks again
            new.summary := case when not new.summary_generated then new.summary end;
            new.summary_generated := false;
        end if;
        new.updated_at := tminus.clock();
        new.status := 'unauthorized';
        new.status_reason := case when old.status = 'unauthorized' then old.status_reason else 'edited by ' || new.updated_by end;
        new.authorization_id := null;
        new.authorized_at := null;
        new.authorized_by := null;
        new.authorization_expires_at := null;
    end if;
    return new;
end $$;
create trigger b_guard before insert or update on tminus.scheduled_scripts
    for each row execute function tminus.guard_scheduled_script();

create function tminus.follow_scheduled_script() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    changed jsonb;
begin
    if tg_op = 'INSERT' or new.sites is distinct from old.sites then
        delete from tminus.scheduled_script_sites where script_id = new.id;
        insert into tminus.scheduled_script_sites (script_id, site_id, position)
        select new.id, site_id, position from unnest(new.sites) with ordinality as s (site_id, position);
    end if;
    if tg_op = 'INSERT' then
        perform tminus.record('submitted', new.created_by, new.id, null, null,
            jsonb_build_object('description', new.description, 'sites', cardinality(new.sites), 'launch_at', new.launch_at, 'cron', new.cron));
    elsif new.updated_at is distinct from old.updated_at then
        select jsonb_agg(key) into changed
        from jsonb_each(to_jsonb(new) - '{updated_at,updated_by,status,status_reason,authorization_id,authorized_at,authorized_by,authorization_expires_at,findings,summary_generated}'::text[])
        where value is distinct from to_jsonb(old) -> key and not (key = 'summary' and old.summary_generated and new.summary is null);
        perform tminus.record('edited', new.updated_by, new.id, null, null,
            jsonb_build_object('columns', changed, 'was', old.status));
    end if;
    if new.status is distinct from old.status or new.launch_at is distinct from old.launch_at or tg_op = 'INSERT' and new.cron is not null
        or new.findings is null and old.findings is not null then
        perform pg_notify('tminus', 'scheduled_script');
    end if;
    return null;
end $$;
create trigger follow after insert or update on tminus.scheduled_scripts
    for each row execute function tminus.follow_scheduled_script();

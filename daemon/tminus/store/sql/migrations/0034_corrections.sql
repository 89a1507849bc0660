-- Corrections of what stands in the migrations before: one router in several spellings, what is recorded of a site, sites of a local time
-- and pauses, windows that are removed meanwhile, an upsert that says the same again, and how many people are told. Each function is
-- replaced as a whole, as its file has it but for what is said above it.

-- ---------------------------------------------------------------------------------------------------------------------
-- One router, one site, in whatever spelling.

-- An address as it is compared: case and a dot at the end make no other host of a name, and an IPv6 address has one shortest form (that
-- of an IPv4 address in it is the IPv4 address). What follows '%' names an interface, and stays as it is.
create function tminus.canonical_address(address text) returns text
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    plain text;
begin
    if position(':' in address) > 0 then
        begin
            plain := host(split_part(address, '%', 1)::inet);
            return regexp_replace(plain, '^::ffff:(?=[0-9]+[.])', '') || substr(address, length(split_part(address, '%', 1)) + 1);
        exception when invalid_text_representation then
            null;  -- of no form that is known here
        end;
    end if;
    return lower(rtrim(address, '.') collate "C");
end $$;
-- Whoever writes a site computes what its index holds.
grant execute on function tminus.canonical_address(text) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

do $$
declare
    pair record;
begin
    select min(s.id) as one, max(s.id) as other, tminus.canonical_address(s.address) as address, s.port into pair
    from tminus.sites s
    group by tminus.canonical_address(s.address), s.port, s.jump_host, s.runner
    having count(*) > 1
    order by 1
    limit 1;
    if found then
        raise exception 'sites % and % are two names for one router: both are % port %', pair.one, pair.other, pair.address, pair.port
            using errcode = 'unique_violation', hint = 'One router is one site. Keep one of them, and disable the other and give it an address that is nobody''s; then migrate again.';
    end if;
end $$;
drop index tminus.sites_one_router_each;
create unique index sites_one_router_each on tminus.sites (tminus.canonical_address(address), port, jump_host, runner) nulls not distinct where id is not null;

-- As before (0002), by the canonical address.
create or replace function tminus.guard_site() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    parts text[];
    other text;
    place text;
    place_column text;
    its_address text := tminus.canonical_address(new.address);
begin
    if tg_op = 'UPDATE' and new.id <> old.id then
        raise exception 'the id of site % never changes', old.id
            using errcode = 'check_violation', column = 'id', hint = 'Insert another site and disable this one.';
    end if;
    if new.id !~ '^[^[:cntrl:]]{1,200}$' or new.name !~ '^[^[:cntrl:]]{1,200}$' or new.runner !~ '^[^[:cntrl:]]{1,200}$' then
        raise exception 'site %: id, name and runner are 1 to 200 printable characters', quote_literal(tminus.printable(new.id))
            using errcode = 'check_violation';
    end if;
    foreach place_column in array array['address', 'return_address'] loop
        place := case place_column when 'address' then new.address else new.return_address end;
        if place !~ '^[A-Za-z0-9:_][A-Za-z0-9._:%-]{0,252}$' then
            raise exception 'site %: % is not an address (an IP address or a host name)', new.id, quote_literal(tminus.printable(place))
                using errcode = 'check_violation', column = place_column;
        end if;
        -- What the resolver would read as an IPv4 address in another spelling (127.1, 010.0.0.1, 0x7f000001, 2130706433) is a second name for one router.
        if place ~* '^(0x[0-9a-f]*|[0-9]+)([.](0x[0-9a-f]*|[0-9]+))*[.]?$'
            and place !~ '^(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])([.](25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])){3}$' then
            raise exception 'site %: % is no IPv4 address of four decimal numbers', new.id, quote_literal(tminus.printable(place))
                using errcode = 'check_violation', column = place_column, hint = 'Write it in full and without leading zeros, such as 192.0.2.1.';
        end if;
    end loop;
    if new.port not between 1 and 65535 then
        raise exception 'site %: port % does not lie between 1 and 65535', new.id, new.port using errcode = 'check_violation', column = 'port';
    end if;
    if new.credential !~ '^[A-Za-z0-9_.-]{1,64}$' then
        raise exception 'site %: credential is the name of one in the daemon''s configuration (letters, digits, ''_'', ''.'' and ''-''), never a secret', new.id
            using errcode = 'check_violation', column = 'credential';
    end if;
    if new.ssh_profile not in ('modern', 'legacy') then
        raise exception 'site %: ssh_profile is modern or legacy', new.id using errcode = 'check_violation', column = 'ssh_profile';
    end if;
    if new.jump_host !~ '^[^-[:cntrl:][:space:]][^[:cntrl:][:space:]]{0,252}$' then
        raise exception 'site %: jump_host must not begin with ''-'' or contain blanks or control characters', new.id
            using errcode = 'check_violation', column = 'jump_host';
    end if;
    -- The comment of a public key is not part of it. (No backslashes: what they mean is a setting of the session.)
    parts := string_to_array(btrim(regexp_replace(new.host_key, '[[:space:]]+', ' ', 'g')), ' ');
    new.host_key := concat_ws(' ', parts[1], parts[2]);
    if parts is null then
        new.host_key := null;
    elsif new.host_key !~ '^(ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+=*$' then
        raise exception 'site %: host_key is not an OpenSSH public key (type and base64, as in ssh_host_ed25519_key.pub)', new.id
            using errcode = 'check_violation', column = 'host_key';
    end if;
    if new.return_address = new.address then
        new.return_address := null;  -- it has moved, and whoever says so need not know of this column
    end if;
    if tg_op = 'UPDATE' and old.allow_tests and new.host_key <> coalesce(old.host_key, '') then
        -- It is another router, of which nobody has said that it is there for tests; a gateway may say where a site is.
        new.allow_tests := false;
    end if;
    if new.username !~ '^[^-+[:cntrl:][:space:]][^+[:cntrl:][:space:]]{0,63}$' then
        raise exception 'site %: a RouterOS user name has 1 to 64 characters, does not begin with ''-'' and has no ''+'', blank or control character', new.id
            using errcode = 'check_violation', column = 'username';
    end if;
    if not tminus.is_timezone(new.timezone) then
        raise exception 'site %: there is no time zone %', new.id, quote_literal(tminus.printable(new.timezone))
            using errcode = 'check_violation', column = 'timezone', hint = 'Use a name of the IANA database, such as Europe/Berlin.';
    end if;
    if new.variables <> '{}' or new.variables is null then
        perform tminus.check_variables(new.variables, 'site ' || tminus.printable(new.id) || ': variables');
    end if;
    select s.id into other
    from tminus.sites s
    where tminus.canonical_address(s.address) = its_address and s.port = new.port and s.jump_host is not distinct from new.jump_host
        and s.runner is not distinct from new.runner and s.id <> new.id
    limit 1;
    if other is not null then
        raise exception 'site % would be a second name for site %: both are % port %', new.id, other, its_address, new.port
            using errcode = 'unique_violation', hint = 'One router is one site.';
    end if;
    if tg_op = 'UPDATE' and new is distinct from old then  -- an upsert that changes nothing resets nothing
        new.updated_at := tminus.clock();
    end if;
    return new;
end $$;

-- As before (0002), and with what says where a script may run: the tags, by which a freeze or a window holds a site, its zone, and whether
-- scripts are tested there.
create or replace function tminus.record_site_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    was jsonb := '{}';
    now_is jsonb;
    changed jsonb;
begin
    -- What identifies or reaches a router or says what may run there, and nothing that is learned.
    now_is := jsonb_build_object('name', new.name, 'address', new.address, 'port', new.port, 'username', new.username,
        'credential', new.credential, 'host_key', new.host_key, 'ssh_profile', new.ssh_profile, 'jump_host', new.jump_host,
        'runner', new.runner, 'variables', new.variables, 'enabled', new.enabled, 'sensitive_export', new.sensitive_export,
        'return_address', new.return_address, 'tags', new.tags, 'timezone', new.timezone, 'allow_tests', new.allow_tests);
    if tg_op = 'UPDATE' then
        was := jsonb_build_object('name', old.name, 'address', old.address, 'port', old.port, 'username', old.username,
            'credential', old.credential, 'host_key', old.host_key, 'ssh_profile', old.ssh_profile, 'jump_host', old.jump_host,
            'runner', old.runner, 'variables', old.variables, 'enabled', old.enabled, 'sensitive_export', old.sensitive_export,
            'return_address', old.return_address, 'tags', old.tags, 'timezone', old.timezone, 'allow_tests', old.allow_tests);
    end if;
    select jsonb_object_agg(key, jsonb_build_object('from', was -> key, 'to', value)) into changed
    from jsonb_each(now_is) where value is distinct from was -> key;
    if changed is not null then
        perform tminus.record(case tg_op when 'INSERT' then 'site_added' else 'site_changed' end, tminus.acting(), null, null, new.id,
            case tg_op when 'INSERT' then now_is else changed end);
    end if;
    return null;
end $$;
drop trigger audit on tminus.sites;
create trigger audit after insert or update of name, address, port, username, credential, host_key, ssh_profile, jump_host, runner,
    variables, enabled, sensitive_export, return_address, tags, timezone, allow_tests on tminus.sites
    for each row execute function tminus.record_site_change();

-- ---------------------------------------------------------------------------------------------------------------------
-- Local times.

-- A site that moves to another zone takes what waits for it along: each script once, however many of its sites move. The row trigger notes
-- the scripts in a setting of the transaction, the trigger of the statement, which comes after all rows, moves them. (Transition tables would
-- copy every site that is written, and sites are written whenever the daemon learns something of them.)
create function tminus.note_timezone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    noted uuid[] := coalesce(nullif(current_setting('tminus.zones_moved', true), ''), '{}');
    more uuid[];
begin
    select array_agg(u.id) into more
    from tminus.scheduled_script_sites x
    join tminus.scheduled_scripts u on u.id = x.script_id
    where x.site_id = new.id and u.local_time is not null and u.status in ('unauthorized', 'scheduled') and u.id <> all (noted);
    if more is not null then
        perform set_config('tminus.zones_moved', (noted || more)::text, true);
    end if;
    return null;
end $$;
create or replace function tminus.follow_timezone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    noted uuid[] := nullif(current_setting('tminus.zones_moved', true), '');
begin
    if noted is not null then
        perform set_config('tminus.zones_moved', '', true);
        update tminus.scheduled_scripts u
        set launch_at = tminus.first_local_instant(u.local_time, u.sites)
        where u.local_time is not null and u.status in ('unauthorized', 'scheduled') and u.id = any (noted);
    end if;
    return null;
end $$;
drop trigger timezone on tminus.sites;
create trigger timezone after update of timezone on tminus.sites for each row
    when (new.timezone <> old.timezone)
    execute function tminus.note_timezone();
create trigger timezones after update of timezone on tminus.sites for each statement execute function tminus.follow_timezone();

-- When a paused launch last went on. The sites of a local time whose turn was not over when it was paused have their start_within
-- from then.
alter table tminus.launches add column resumed_at timestamptz;

-- Whether the time is over in which the sites of a launch with this local moment may start: `start_within` after it, or after it was resumed, or
-- after the latest that was taken up or ended among them.
create or replace function tminus.turn_is_over(p_launch uuid, p_due_at timestamptz, p_start_within interval) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select p_due_at + p_start_within < tminus.clock()
        and not exists (select from tminus.launches l where l.id = p_launch and l.resumed_at + p_start_within >= tminus.clock())
        and not exists (
            select from tminus.site_runs o
            where o.launch_id = p_launch and o.due_at = p_due_at and o.turn_at is not null
                and (o.finished_at is null and o.instance_id is not null or greatest(o.started_at, o.finished_at) + p_start_within >= tminus.clock()))
$$;

-- As before (0016), and the sites of a local time are not late for it either. Those whose turn was over by then, which nobody has settled yet,
-- are late: their turn came and went.
create or replace function tminus.resume_launch(id uuid, by text default null, signature text default null, expires timestamptz default null) returns json
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
    set paused_at = null, paused_by = null, pause_note = null, resumed_at = tminus.clock(), start_until = greatest(u.start_until, tminus.clock() + u.start_within)
    where u.id = l.id;
    update tminus.site_runs r
    set turn_at = r.turn_at + (tminus.clock() - l.paused_at), not_before = least(r.not_before, tminus.clock())
    where r.launch_id = l.id and r.state = 'pending' and r.turn_at is not null;
    update tminus.site_runs r
    set turn_at = r.due_at
    where r.launch_id = l.id and r.state = 'pending' and r.turn_at is null
        -- As tminus.turn_is_over, at that moment.
        and r.due_at is not null and greatest(r.due_at, l.resumed_at) + l.start_within < l.paused_at
        and not exists (
            select from tminus.site_runs o
            where o.launch_id = l.id and o.due_at = r.due_at and o.turn_at is not null
                and (o.finished_at is null and o.instance_id is not null or greatest(o.started_at, o.finished_at) + l.start_within >= l.paused_at));
    perform tminus.record('launch_resumed', who, l.script_id, l.id, null,
        jsonb_build_object('paused_by', l.paused_by, 'paused_at', l.paused_at, 'note', l.pause_note,
            'signed', resume_launch.signature is not null));
    perform pg_notify('tminus', 'launch');
    return tminus.scheduled_script(l.script_id);
end $$;

-- As before (0031), by the same moment.
create or replace function tminus.missed_for_rehearsals(p_sites text[], p_site_timeout interval) returns table (site_id text, missed text)
language sql stable rows 100 set search_path = pg_catalog, pg_temp
as $$
    with closing as materialized (
        select c.* from tminus.closing_by(tminus.rehearsal_end(p_site_timeout)) c
    ),
    due as materialized (
        select s.id, s.launch_at, o.is_over, o.closes
        from closing c
        cross join tminus.scheduled_scripts s
        cross join lateral (
            select least(s.launch_at + s.start_within, s.stop_starting_at, s.authorization_expires_at) < tminus.rehearsal_end(p_site_timeout) as is_over,
                c.everywhere or case when cardinality(s.windows) = 0 then false else (
                    select tminus.closes_by(array_agg(w), tminus.rehearsal_end(p_site_timeout)) from tminus.windows w where w.name = any (s.windows)) end as closes
            offset 0
        ) o
        -- What is late by more was launched or is missed.
        where s.status = 'scheduled' and s.launch_at > tminus.clock() - p_site_timeout - interval '1 minute'
            and s.launch_at < tminus.rehearsal_end(p_site_timeout)
            and (o.is_over or o.closes or o.closes is not null and cardinality(c.closing_tags) > 0)
    ),
    under_way as materialized (
        select l.id, l.due_at, l.start_within, l.start_until, l.paused_at, l.resumed_at, l.open_to, o.is_over, o.closes
        from closing c
        cross join tminus.launches l
        cross join lateral (
            select least(l.stop_starting_at, l.authorization_expires_at) < tminus.rehearsal_end(p_site_timeout) as is_over,
                c.everywhere or case when cardinality(l.windows) = 0 then false else (
                    select tminus.closes_by(array_agg(w), tminus.rehearsal_end(p_site_timeout)) from tminus.windows w where w.name = any (l.windows)) end as closes
            offset 0
        ) o
        where l.finished_at is null and l.state = 'running' and l.kind <> 'rehearsal'
    )
    select distinct on (m.site_id) m.site_id, m.missed
    from (
        select x.site_id, 1 as rank, q.launch_at as at, q.id, 'scheduled script ' || q.id || ' is due at ' || tminus.api_time(q.launch_at) as missed
        from due q
        cross join closing c
        -- All of its sites, or each that is asked for looked up.
        cross join lateral (
            select y.site_id from tminus.scheduled_script_sites y where p_sites is null and y.script_id = q.id
            union all
            select u.site from unnest(p_sites) as u (site)
            where exists (select from tminus.scheduled_script_sites y where y.script_id = q.id and y.site_id = u.site offset 0)
        ) x
        where q.is_over or q.closes is not null
            and (select not s.tags && c.closed_tags and (q.closes or s.tags && c.closing_tags) from tminus.sites s where s.id = x.site_id)
        union all
        select p.site_id, 2, q.due_at, q.id, 'launch ' || q.id || ' waits to start'
        from under_way q
        cross join closing c
        cross join lateral (
            select r.site_id, r.position, r.turn_at, r.due_at from tminus.site_runs r
            where p_sites is null and r.launch_id = q.id and r.state = 'pending'
            union all
            select y.* from unnest(p_sites) as u (site)
            cross join lateral (
                select r.site_id, r.position, r.turn_at, r.due_at from tminus.site_runs r
                where r.launch_id = q.id and r.site_id = u.site and r.state = 'pending'
                offset 0
            ) y
        ) p
        where coalesce(p.due_at < tminus.rehearsal_end(p_site_timeout), true)
            and (q.is_over
                -- The last moment at which it may start, by what settle_pending ends; where its time has not begun, it may begin now.
                or case
                    when p.turn_at is not null then p.turn_at + coalesce(tminus.clock() - q.paused_at, interval '0') + q.start_within
                    when p.due_at is not null then
                        greatest(p.due_at, q.resumed_at, case when q.paused_at is not null then tminus.clock() end) + q.start_within
                    when p.position > q.open_to or q.paused_at is not null then tminus.clock() + q.start_within
                    else q.start_until end < tminus.rehearsal_end(p_site_timeout)
                or q.closes is not null
                    and (select not s.tags && c.closed_tags and (q.closes or s.tags && c.closing_tags) from tminus.sites s where s.id = p.site_id))
    ) m
    order by m.site_id, m.rank, m.at, m.id
$$;

-- ---------------------------------------------------------------------------------------------------------------------
-- Scheduled scripts.

-- As before (0022), and they stay until the transaction of the caller has ended: who removes or renames one meanwhile waits, and then
-- sees the script that names it. Not the caller's own lock, for which it would have to be allowed to change windows.
create or replace function tminus.check_windows(p_windows text[]) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp
as $$
declare
    there text[];
    unknown text;
begin
    if p_windows is null or array_ndims(p_windows) > 1 or cardinality(p_windows) > 20 or array_position(p_windows, null) is not null then
        raise exception 'windows is a plain list of at most 20 names of windows' using errcode = 'check_violation', column = 'windows';
    end if;
    select array_agg(l.name) into there
    from (select w.name from tminus.windows w where w.name = any (p_windows) order by w.name for key share) l;
    select n.name into unknown from unnest(p_windows) as n (name) where n.name <> all (coalesce(there, '{}')) limit 1;
    if found then
        raise exception 'there is no window %', quote_literal(tminus.printable(unknown))
            using errcode = 'foreign_key_violation', column = 'windows', hint = 'See tminus.windows.';
    end if;
end $$;

-- As before (0003), and what a rule of time fills in, and a client leaves out when it says the same again, is there before it is
-- decided whether that is an edit.
create or replace function tminus.guard_scheduled_script() returns trigger
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
        if tg_op = 'UPDATE' and new.local_time = old.local_time then
            new.launch_at := coalesce(new.launch_at, old.launch_at);
        end if;
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
    if new.cron is not null then
        new.timezone := coalesce(new.timezone, 'UTC');
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

-- ---------------------------------------------------------------------------------------------------------------------
-- Telling people.

-- As before (0019), for however many contacts.
create or replace function tminus.queue_news(p_news text, p_author boolean, p_source text, p_script uuid, p_launch uuid, p_principal text, p_detail jsonb) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    queued integer;
begin
    insert into tminus.outbox (contact_id, source, news, script_id, launch_id, principal, detail)
    select c.id, p_source, p_news, p_script, p_launch, p_principal,
        (select coalesce(jsonb_object_agg(key, left(value, 500)), '{}') from jsonb_each_text(p_detail)
         where key in ('digest', 'reason', 'was', 'wave', 'waves', 'due_at', 'note', 'sites') and value is not null)
    from tminus.scheduled_scripts s
    join tminus.contacts c on c.person = any (s.notify || case when p_author then array[s.created_by] else '{}' end)
    where s.id = p_script and c.enabled and c.person <> p_principal and (c.news is null or p_news = any (c.news))
    order by c.id
    on conflict (contact_id, source) do nothing;
    get diagnostics queued = row_count;
    if queued > 0 then
        perform pg_notify('tminus', 'news');
    end if;
    return queued;
end $$;

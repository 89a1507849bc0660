-- One MikroTik router each, and how to reach it. Kept by a gateway (an inventory tool) or the owner.
-- What a value may be is a constraint here; guard_site says the same in a sentence, and comes first. (A pattern that counts
-- costs tens of microseconds, and constraints are looked at whenever the daemon learns something: so lengths stand apart.)

create table tminus.sites (
    id text primary key check (id !~ '[[:cntrl:]]' and char_length(id) between 1 and 200),
    name text not null check (name !~ '[[:cntrl:]]' and char_length(name) between 1 and 200),
    address text not null check (address ~ '^[A-Za-z0-9:_][A-Za-z0-9._:%-]*$' and char_length(address) <= 253),
    port integer not null default 22 check (port between 1 and 65535),
    -- A name that begins with '-' was an argument of RouterOS's login process before 7.23.4; '+' begins console options.
    username text check (username ~ '^[^-+[:cntrl:][:space:]][^+[:cntrl:][:space:]]*$' and char_length(username) <= 64),
    -- The name of a credential in the daemon's configuration; null is its `default`. No secret is in the database.
    credential text check (credential ~ '^[A-Za-z0-9_.-]+$' and char_length(credential) <= 64),
    -- What a person pinned: type and base64 of an OpenSSH public key, without a comment.
    host_key text check (host_key ~ '^(ssh|ecdsa|sk)-[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+=*$'),
    ssh_profile text not null default 'modern' check (ssh_profile in ('modern', 'legacy')),
    jump_host text check (jump_host ~ '^[^-[:cntrl:][:space:]][^[:cntrl:][:space:]]*$' and char_length(jump_host) <= 253),
    runner text check (runner !~ '[[:cntrl:]]' and char_length(runner) between 1 and 200),
    tags text[] not null default '{}',
    timezone text not null default 'UTC',
    variables jsonb not null default '{}' check (jsonb_typeof(variables) = 'object'),
    enabled boolean not null default true,
    -- Whether scripts may be tested here that nobody has authorized. The owner's, and no client's.
    allow_tests boolean not null default false,
    -- Whether its exports are to be stored with secrets as well, where the daemon allows it: see 0029_sensitive_exports.sql.
    sensitive_export boolean not null default false,
    -- Where it may answer once a script has moved it that is expected to end its session. A success there leaves `address` to people.
    return_address text check (return_address ~ '^[A-Za-z0-9:_][A-Za-z0-9._:%-]*$' and char_length(return_address) <= 253),

    -- What the daemon learned. Never part of an authorization.
    identity text,
    model text,
    serial text,
    version text,
    -- The first key seen, where the daemon's policy is accept-new and none is pinned. Enforced from then on.
    seen_host_key text,
    last_seen_at timestamptz,

    created_at timestamptz not null default tminus.clock(),
    updated_at timestamptz not null default tminus.clock()
);
-- Room in each page: what is learned at each contact is written beside the row, without a word to any index.
alter table tminus.sites set (fillfactor = 70);
-- Partial, though every row is in it: the columns of a full unique index count as key columns, and then an upsert of an
-- inventory tool, which names them all, would lock out the foreign keys of new site runs until it commits.
create unique index sites_one_router_each on tminus.sites (address, port, jump_host, runner) nulls not distinct where id is not null;
-- A router runs under one site. Two that learn the same serial number at the same moment: one of them is refused.
create unique index sites_one_serial_each on tminus.sites (serial) where serial is not null;

-- The zones of the IANA database, spelled as Python's zoneinfo wants them. PostgreSQL itself takes any case, abbreviations
-- and POSIX rules as well, which the daemon could not compute with. Asking pg_timezone_names takes 50 ms, so once.
create table tminus.timezones (name text primary key);
insert into tminus.timezones
select name from pg_catalog.pg_timezone_names where name !~ '^(posix|right)/' and name not in ('localtime', 'posixrules', 'Factory');

create function tminus.is_timezone(name text) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(
        exists (select from tminus.timezones z where z.name = $1)
        -- Younger than this table?
        or $1 ~ '^[A-Z][A-Za-z_]+/[A-Z]' and exists (select from pg_timezone_names z where z.name = $1), false)
$$;

-- Variables: an object of texts, whole numbers and booleans, whose names a script may have between $( and ). Refuses anything
-- else in a sentence that begins with `what`.
create function tminus.check_variables(variables jsonb, what text) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    value jsonb;
begin
    if jsonb_typeof(variables) is distinct from 'object' then
        raise exception '% is a JSON object', what using errcode = 'check_violation', column = 'variables';
    end if;
    if octet_length(variables::text) > 65536 then
        raise exception '% has more than 65536 bytes', what using errcode = 'check_violation', column = 'variables';
    end if;
    for name, value in select v.key, v.value from jsonb_each(variables) as v loop
        if name !~ '^[A-Za-z][A-Za-z0-9_-]{0,63}$' then
            raise exception '%: % is no name of a variable', what, quote_literal(tminus.printable(name))
                using errcode = 'check_violation', column = 'variables', hint = 'A name is a letter, then letters, digits, ''_'' and ''-'', 64 at most.';
        elsif not (case jsonb_typeof(value)
            when 'string' then octet_length(value #>> '{}') <= 8192
            when 'boolean' then true
            when 'number' then value::text ~ '^-?[0-9]{1,18}$'
            else false end) then
            raise exception '%: the value of % is no text (of 8192 bytes at most), whole number, true or false', what, name
                using errcode = 'check_violation', column = 'variables', hint = 'Write a number with a fraction, or a list, as text.';
        end if;
    end loop;
end $$;

create function tminus.guard_site() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    parts text[];
    other text;
    place text;
    place_column text;
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
    where s.address = new.address and s.port = new.port and s.jump_host is not distinct from new.jump_host
        and s.runner is not distinct from new.runner and s.id <> new.id
    limit 1;
    if other is not null then
        raise exception 'site % would be a second name for site %: both are % port %', new.id, other, new.address, new.port
            using errcode = 'unique_violation', hint = 'One router is one site.';
    end if;
    if tg_op = 'UPDATE' and new is distinct from old then  -- an upsert that changes nothing resets nothing
        new.updated_at := tminus.clock();
    end if;
    return new;
end $$;
-- Not for the columns that the daemon learns: they are written in batches, and are no change of the site.
create trigger guard before insert or update of id, name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags,
    timezone, variables, enabled, sensitive_export, return_address, created_at, updated_at on tminus.sites
    for each row execute function tminus.guard_site();

create function tminus.record_site_change() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    was jsonb := '{}';
    now_is jsonb;
    changed jsonb;
begin
    -- What identifies or reaches a router, and nothing that is learned.
    now_is := jsonb_build_object('name', new.name, 'address', new.address, 'port', new.port, 'username', new.username,
        'credential', new.credential, 'host_key', new.host_key, 'ssh_profile', new.ssh_profile, 'jump_host', new.jump_host,
        'runner', new.runner, 'variables', new.variables, 'enabled', new.enabled, 'sensitive_export', new.sensitive_export,
        'return_address', new.return_address);
    if tg_op = 'UPDATE' then
        was := jsonb_build_object('name', old.name, 'address', old.address, 'port', old.port, 'username', old.username,
            'credential', old.credential, 'host_key', old.host_key, 'ssh_profile', old.ssh_profile, 'jump_host', old.jump_host,
            'runner', old.runner, 'variables', old.variables, 'enabled', old.enabled, 'sensitive_export', old.sensitive_export,
            'return_address', old.return_address);
    end if;
    select jsonb_object_agg(key, jsonb_build_object('from', was -> key, 'to', value)) into changed
    from jsonb_each(now_is) where value is distinct from was -> key;
    if changed is not null then
        perform tminus.record(case tg_op when 'INSERT' then 'site_added' else 'site_changed' end, tminus.acting(), null, null, new.id,
            case tg_op when 'INSERT' then now_is else changed end);
    end if;
    return null;
end $$;
create trigger audit after insert or update of name, address, port, username, credential, host_key, ssh_profile, jump_host, runner,
    variables, enabled, sensitive_export, return_address on tminus.sites
    for each row execute function tminus.record_site_change();

-- Take over what a person accepted of a scan: pin keys, and keep what the routers said of themselves. `p_found` is an array of
-- objects: id; was_key, the pinned key that the person saw, or null; host_key to pin; identity, model, serial, version.
-- A null leaves what is there. Returns the ids that were written: a site whose pinned key was changed meanwhile is left alone.
create function tminus.accept_sites(p_found jsonb) returns setof text
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with found as materialized (
        select * from jsonb_to_recordset(p_found)
            as f (id text, was_key text, host_key text, identity text, model text, serial text, version text)
    ), was as materialized (
        select s.id, s.identity, s.model, s.serial, s.version
        from tminus.sites s
        join found f on f.id = s.id and f.was_key is not distinct from s.host_key
        order by s.id
        for no key update of s
    ), written as (
        update tminus.sites s
        set host_key = coalesce(f.host_key, s.host_key), identity = coalesce(f.identity, s.identity), model = coalesce(f.model, s.model),
            serial = coalesce(f.serial, s.serial), version = coalesce(f.version, s.version),
            last_seen_at = case when f.version is null then s.last_seen_at else tminus.clock() end
        from found f
        join was w on w.id = f.id
        where s.id = f.id
        returning s.id
    ), told as (
        insert into tminus.events (kind, principal, site_id, detail)
        select 'site_accepted', session_user, f.id, jsonb_strip_nulls(jsonb_build_object(
            'host_key', nullif(f.host_key, f.was_key), 'host_key_before', case when f.host_key <> f.was_key then f.was_key end,
            'identity', f.identity, 'model', f.model, 'serial', f.serial, 'serial_before', nullif(w.serial, f.serial), 'version', f.version))
        from found f
        join was w on w.id = f.id
    )
    select id from written order by id
$$;

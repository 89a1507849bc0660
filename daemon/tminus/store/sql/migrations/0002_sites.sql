-- One MikroTik router each, and how to reach it. Kept by a gateway (an inventory tool) or the owner.

create table tminus.sites (
    id text primary key check (id ~ '^[^[:cntrl:]]{1,200}$'),
    name text not null check (name ~ '^[^[:cntrl:]]{1,200}$'),
    address text not null check (address ~ '^[A-Za-z0-9._:%-]{1,253}$'),
    port integer not null default 22 check (port between 1 and 65535),
    -- A name that begins with '-' was an argument of RouterOS's login process before 7.23.4; '+' begins console options.
    username text check (username ~ '^[^-+[:cntrl:][:space:]][^+[:cntrl:][:space:]]{0,63}$'),
    -- The name of a credential in the daemon's configuration; null is its `default`. No secret is in the database.
    credential text check (credential ~ '^[A-Za-z0-9_.-]{1,64}$'),
    -- What a person pinned: type and base64 of an OpenSSH public key, without a comment.
    host_key text check (host_key ~ '^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$'),
    ssh_profile text not null default 'modern' check (ssh_profile in ('modern', 'legacy')),
    jump_host text,
    runner text,
    tags text[] not null default '{}',
    timezone text not null default 'UTC',
    variables jsonb not null default '{}' check (jsonb_typeof(variables) = 'object'),
    enabled boolean not null default true,

    -- What the daemon learned. Never part of an authorization.
    identity text,
    model text,
    serial text,
    version text,
    -- The first key seen, where the daemon's policy is accept-new and none is pinned. Enforced from then on.
    seen_host_key text,
    last_seen_at timestamptz,

    created_at timestamptz not null default tminus.clock(),
    updated_at timestamptz not null default tminus.clock(),
    constraint sites_one_router_each unique nulls not distinct (runner, jump_host, address, port)
);
create index sites_by_serial on tminus.sites (serial) where serial is not null;

create function tminus.is_timezone(name text) returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    -- POSIX forms such as 'foo+3' are accepted by PostgreSQL but are no zone that a person means.
    if name is null or name !~ '^[A-Za-z]' or name ~ '[0-9]' and name !~ '^Etc/' then
        return false;
    end if;
    perform timezone(name, tminus.clock());
    return true;
exception when invalid_parameter_value then
    return false;
end $$;

create function tminus.guard_site() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'UPDATE' and new.id <> old.id then
        raise exception 'the id of site % never changes', old.id
            using errcode = 'check_violation', hint = 'Insert another site and disable this one.';
    end if;
    -- The comment of a public key is not part of it.
    new.host_key := regexp_replace(btrim(new.host_key), '^(\S+)\s+(\S+)(\s.*)?$', '\1 \2');
    if new.host_key !~ '^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*$' then
        raise exception 'site %: host_key is not an OpenSSH public key (type and base64, as in ssh_host_ed25519_key.pub)', new.id
            using errcode = 'check_violation';
    end if;
    if new.username ~ '^-|[+[:cntrl:][:space:]]' then
        raise exception 'site %: a RouterOS user name must not begin with ''-'' or contain ''+'', blanks or control characters', new.id
            using errcode = 'check_violation';
    end if;
    if not tminus.is_timezone(new.timezone) then
        raise exception 'site %: there is no time zone %', new.id, quote_literal(new.timezone)
            using errcode = 'check_violation', hint = 'Use a name of the IANA database, such as Europe/Berlin.';
    end if;
    if tg_op = 'UPDATE' then
        new.updated_at := tminus.clock();
    end if;
    return new;
end $$;
-- Not for the columns that the daemon learns: they are written in batches, and are no change of the site.
create trigger guard before insert or update of id, name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags,
    timezone, variables, enabled, created_at, updated_at on tminus.sites
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
        'runner', new.runner, 'variables', new.variables, 'enabled', new.enabled);
    if tg_op = 'UPDATE' then
        was := jsonb_build_object('name', old.name, 'address', old.address, 'port', old.port, 'username', old.username,
            'credential', old.credential, 'host_key', old.host_key, 'ssh_profile', old.ssh_profile, 'jump_host', old.jump_host,
            'runner', old.runner, 'variables', old.variables, 'enabled', old.enabled);
    end if;
    select jsonb_object_agg(key, jsonb_build_object('from', was -> key, 'to', value)) into changed
    from jsonb_each(now_is) where value is distinct from was -> key;
    if changed is not null then
        perform tminus.record(case tg_op when 'INSERT' then 'site_added' else 'site_changed' end, session_user, null, null, new.id,
            case tg_op when 'INSERT' then now_is else changed end);
    end if;
    return null;
end $$;
create trigger audit after insert or update of name, address, port, username, credential, host_key, ssh_profile, jump_host, runner,
    variables, enabled on tminus.sites
    for each row execute function tminus.record_site_change();

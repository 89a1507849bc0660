-- Clock, principals, the audit trail, and the small helpers that every later table uses.
-- Everything runs as tminus_owner (see roles.sql), so all objects belong to it.

-- PostgreSQL lets everyone execute a new function. Here a function is executable only where it is granted (see 0010).
alter default privileges revoke execute on functions from public;

-- The one clock. STABLE, so that an index can serve `launch_at <= tminus.clock()`. A test database replaces this function.
create function tminus.clock() returns timestamptz
language sql stable parallel safe
as 'select pg_catalog.statement_timestamp()';

-- Who acts. `claimed` is the person that the caller names, or null for itself. Only a member of tminus_gateway may name
-- somebody else. (A superuser is a member of every role; the audit trail keeps session_user beside the name.)
create function tminus.principal(claimed text) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    if claimed is null or claimed = session_user then
        return session_user;
    end if;
    if pg_has_role(session_user, 'tminus_gateway', 'member') then
        if claimed !~ '^[^[:cntrl:]]{1,200}$' then
            raise exception 'a principal is 1 to 200 printable characters'
                using errcode = 'check_violation';
        elsif lower(btrim(claimed)) ~ '^tminus($|_)' then
            raise exception '% is the daemon, or one of its roles: nobody acts for it', claimed using errcode = 'insufficient_privilege';
        end if;
        return claimed;
    end if;
    raise exception '% may not act for %: only a member of tminus_gateway may act for another', session_user, claimed
        using errcode = 'insufficient_privilege', hint = format('Leave the name out, or name %s.', session_user);
end $$;

-- Who changes a table in which no column says it (sites, windows): the caller, or whom a gateway names for this transaction with
-- set_config('tminus.acting_for', name, true).
create function tminus.acting() returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$ select tminus.principal(nullif(current_setting('tminus.acting_for', true), '')) $$;

-- A name as it is compared where two people are needed: one tool writes Alice and another alice.
create function tminus.folded(name text) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$ select lower(btrim(name)) $$;

-- True inside the functions of this schema, which run as its owner, and nowhere else.
create function tminus.is_own_function() returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$ select current_user = 'tminus_owner' $$;

-- One row: how this deployment authorizes. Changed by the owner only.
create table tminus.policy (
    one boolean primary key default true check (one),
    -- distinct: the approver is neither the author nor the last editor. off: one person may do both.
    approval text not null default 'distinct' check (approval in ('distinct', 'off')),
    -- How long an authorization lasts; null: until an edit. What has not begun by then has to be authorized again.
    authorization_ttl interval check (authorization_ttl between interval '1 minute' and interval '87600 hours'),
    -- Whether only what completed on its test site, as it is, may be authorized: see 0027_test_runs.sql.
    require_test boolean not null default false
);
insert into tminus.policy default values;

-- The audit trail: what happened, to what, by whom. Append-only.
create table tminus.events (
    id bigint generated always as identity primary key,
    at timestamptz not null default tminus.clock(),
    -- The length apart: a counted pattern costs more than all else that writes an event.
    kind text not null check (kind ~ '^[a-z][a-z_]+$' and octet_length(kind) between 3 and 41),
    script_id uuid,
    launch_id uuid,
    site_id text,
    principal text not null,
    session text not null default session_user,
    -- From where: the client's address; null over a socket of the server's own host.
    source text default host(inet_client_addr()),
    detail jsonb not null default '{}'
);
create index events_by_script on tminus.events (script_id, id) where script_id is not null;
create index events_by_launch on tminus.events (launch_id, id) where launch_id is not null;

create function tminus.refuse_change_of_history() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_op = 'DELETE' and tminus.is_own_function() then  -- what is older than anyone wants to know: see forget_events
        return null;
    end if;
    raise exception 'tminus.% is append-only: % is refused', tg_table_name, lower(tg_op)
        using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete or truncate on tminus.events
    for each statement execute function tminus.refuse_change_of_history();

create function tminus.refuse_delete() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    raise exception 'rows of tminus.% are not deleted', tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- Write one event. Called by the functions and triggers of this schema; `who` was checked by them.
create function tminus.record(kind text, who text, script uuid, launch uuid default null, site text default null, detail jsonb default '{}') returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    -- A superuser is a member of every role, without having been made one: that it was one stays seen.
    insert into tminus.events (kind, principal, script_id, launch_id, site_id, detail)
    values (kind, who, script, launch, site, coalesce(detail, '{}')
        || case when (select r.rolsuper from pg_roles r where r.rolname = session_user) then '{"superuser": true}' else '{}' end::jsonb)
$$;

-- What a client sent, fit to stand in a sentence.
create function tminus.printable(value text) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select left(regexp_replace(value, '[[:cntrl:]]', '?', 'g'), 200) $$;

-- The form in which the API writes a moment: 2025-10-30T10:00:00.000000Z
create function tminus.api_time(moment timestamptz) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

-- "in 2 days", "2 days ago": the largest unit, rounded down.
create function tminus.t_minus(moment timestamptz) returns text
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
as $$
declare
    seconds bigint;
    unit text;
    size bigint;
    amount bigint;
begin
    if moment is null or not isfinite(moment) then
        return null;
    end if;
    seconds := floor(abs(extract(epoch from moment - tminus.clock())));
    select u, s into unit, size
    from (values ('year', 31536000), ('month', 2592000), ('week', 604800), ('day', 86400), ('hour', 3600), ('minute', 60), ('second', 1)) as v (u, s)
    where seconds >= s
    order by s desc
    limit 1;
    amount := coalesce(seconds / size, 0);
    unit := coalesce(unit, 'second') || case when amount = 1 then '' else 's' end;
    return case when moment > tminus.clock() then format('in %s %s', amount, unit) else format('%s %s ago', amount, unit) end;
end $$;

-- Length of an interval in microseconds, a day being 24 hours. Durations are stored without days and months, so that no
-- session's time zone can change what `launch_at + start_within` means.
create function tminus.microseconds(duration interval) returns bigint
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select (extract(epoch from duration) * 1000000)::bigint $$;

create function tminus.plain_duration(duration interval) returns interval
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select case when isfinite(duration) then make_interval(secs => extract(epoch from duration)::double precision) else duration end $$;

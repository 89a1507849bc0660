-- What every claim and every start asks first, as functions whose plans a session keeps: one in SQL that has a search_path of its own is
-- planned anew by each statement that asks it before PostgreSQL 18 (measured on 16: 0.1 ms for all four).

create or replace function tminus.is_paused() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (select from tminus.lost_starts where accepted_at is null) or exists (select from tminus.lost_acts where accepted_at is null);
end $$;

create or replace function tminus.incarnation() returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return (
        select extract(epoch from pg_postmaster_start_time())::text || '/' || d.oid
        from pg_database d
        where d.datname = current_database());
end $$;

create or replace function tminus.is_unsettled() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return exists (
        select from tminus.instances i
        where i.state in ('alive', 'draining') and i.heartbeat_at + i.ttl > tminus.clock()
            and i.settled_on is distinct from (select tminus.incarnation())
            and not exists (select from tminus.instances o where o.memory = i.memory and o.settled_on = (select tminus.incarnation())
                and o.state in ('alive', 'draining')));
end $$;

create or replace function tminus.is_held_back() returns boolean
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
begin
    return tminus.is_paused() or tminus.is_unsettled();
end $$;

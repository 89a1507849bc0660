-- No moment lies more than a hundred years ahead, whatever it is for (launch_at: ten): clients in other languages have no word for
-- what comes after the year 9999, and a typo in the year is told to whoever made it.

-- The columns are named by the trigger.
create function tminus.guard_horizon() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
    moment timestamptz;
begin
    foreach name in array tg_argv loop
        execute format('select ($1).%I', name) into moment using new;
        if moment > tminus.clock() + interval '100 years' then
            raise exception '% lies more than a hundred years ahead', name using errcode = 'check_violation', column = name;
        end if;
    end loop;
    return new;
end $$;
create trigger horizon before insert or update of stop_starting_at, until on tminus.scheduled_scripts
    for each row execute function tminus.guard_horizon('stop_starting_at', 'until');
create trigger horizon before insert on tminus.authorizations for each row execute function tminus.guard_horizon('expires_at');
create trigger horizon before insert on tminus.resumptions for each row execute function tminus.guard_horizon('expires_at');

create function tminus.guard_spans() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (
        select from unnest(new.spans) as s (span)
        where lower(s.span) < '2000-01-01 00:00+00' or upper(s.span) > tminus.clock() + interval '100 years'
    ) then
        raise exception 'window %: a span begins after the year 1999, and ends within a hundred years', quote_literal(new.name)
            using errcode = 'check_violation', column = 'spans';
    end if;
    return new;
end $$;
create trigger horizon before insert or update of spans on tminus.windows for each row execute function tminus.guard_spans();

-- As before (0019), and without what mail libraries take for an encoded word within an address and trip over.
create or replace function tminus.guard_contact() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if new.channel = 'webhook' and new.address !~ '^[A-Za-z0-9_-]{1,100}$' then
        raise exception 'the address of a webhook is the name of its [webhooks.NAME] in the configuration of the daemon, and % is none', quote_literal(left(new.address, 100))
            using errcode = 'check_violation';
    elsif new.channel = 'mail' and (octet_length(new.address) > 254 or position('=?' in new.address) > 0
            or new.address !~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$') then
        raise exception '% is no mail address that can be written to', quote_literal(left(new.address, 100)) using errcode = 'check_violation';
    end if;
    return new;
end $$;

-- What one row may be, where it could be in the way of everybody else: how far ahead a moment lies, how long a text is, how many there are
-- of something, and what shape an array has. Each was found to stop a daemon or to hold it up for minutes.

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

create function tminus.guard_window_size() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if array_ndims(new.spans) > 1 or array_ndims(new.weekly) > 1 then
        raise exception 'window %: weekly and spans are plain lists', quote_literal(tminus.printable(left(new.name, 100)))
            using errcode = 'check_violation', column = case when array_ndims(new.spans) > 1 then 'spans' else 'weekly' end;
    end if;
    if octet_length(new.tag) > 800 then
        raise exception 'window %: its tag has more than 800 bytes', quote_literal(tminus.printable(left(new.name, 100)))
            using errcode = 'check_violation', column = 'tag';
    end if;
    if exists (select from unnest(new.weekly) as w (rule) where octet_length(w.rule) > 100) then
        raise exception 'window %: a weekly rule has more than 100 bytes', quote_literal(tminus.printable(left(new.name, 100)))
            using errcode = 'check_violation', column = 'weekly';
    end if;
    if exists (
        select from unnest(new.spans) as s (span)
        where lower(s.span) < '2000-01-01 00:00+00' or upper(s.span) > tminus.clock() + interval '100 years'
    ) then
        raise exception 'window %: a span begins after the year 1999, and ends within a hundred years', quote_literal(tminus.printable(left(new.name, 100)))
            using errcode = 'check_violation', column = 'spans';
    end if;
    return new;
end $$;
create trigger bounds before insert or update of weekly, spans, tag on tminus.windows for each row execute function tminus.guard_window_size();

-- Before the guard (in the order of their names), which takes as long as its text is.
create function tminus.guard_wish_size() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if octet_length(new.cron) > 200 then
        raise exception 'cron has more than 200 bytes' using errcode = 'check_violation', column = 'cron';
    end if;
    return new;
end $$;
create trigger a_bounds before insert or update of cron on tminus.scheduled_scripts for each row execute function tminus.guard_wish_size();

-- Each name is looked for on each site, whenever somebody looks at what is to be authorized.
create function tminus.guard_names() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    names integer := cardinality(tminus.variable_names(tminus.code(new.script, new.post_checks)));
begin
    if names > 1000 then
        raise exception 'the script names % different variables; more than 1000 are too many', names using errcode = 'check_violation', column = 'script';
    end if;
    return new;
end $$;
create trigger names before insert or update of script, post_checks on tminus.scheduled_scripts for each row execute function tminus.guard_names();

create function tminus.guard_site_size() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if array_ndims(new.tags) > 1 or cardinality(new.tags) > 100
        or exists (select from unnest(new.tags) as t (tag) where (t.tag ~ '^[^[:cntrl:]]{1,200}$') is not true) then
        raise exception 'the tags of site % are a plain list of at most 100, each of 1 to 200 printable characters', quote_literal(tminus.printable(left(new.id, 200)))
            using errcode = 'check_violation', column = 'tags';
    end if;
    if octet_length(new.host_key) > 20000 then
        raise exception 'the host key of site % has more than 20000 bytes', quote_literal(tminus.printable(left(new.id, 200)))
            using errcode = 'check_violation', column = 'host_key';
    end if;
    return new;
end $$;
create trigger bounds before insert or update of tags, host_key on tminus.sites for each row execute function tminus.guard_site_size();

-- As before (0007), but for what somebody holds: it is planned at a later look, and keeps no other waiting.
create or replace function tminus.plan(p_script uuid, p_next timestamptz, p_reason text default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform from tminus.scheduled_scripts u where u.id = p_script for no key update skip locked;
    if not found then
        return;
    end if;
    update tminus.scheduled_scripts u
    set launch_at = p_next,
        status = case when p_next is null then 'cancelled' else u.status end,
        status_reason = case when p_next is null then p_reason else u.status_reason end,
        cancelled_at = case when p_next is null then tminus.clock() end,
        cancelled_by = case when p_next is null then 'tminus' end,
        finished_at = case
            when p_next is null and not tminus.is_under_way(u.id) then tminus.clock()
            else u.finished_at end
    where u.id = p_script and u.cron is not null and u.launch_at is null and u.status in ('unauthorized', 'scheduled');
    if found and p_next is null then
        perform tminus.record('cancelled', 'tminus', p_script, null, null, jsonb_build_object('reason', p_reason));
    end if;
end $$;

-- As before (0019), and without what mail libraries take for an encoded word within an address and trip over.
create or replace function tminus.guard_contact() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if cardinality(new.news) > 100 then
        raise exception 'news names each kind once' using errcode = 'check_violation', column = 'news';
    end if;
    if new.channel = 'webhook' and new.address !~ '^[A-Za-z0-9_-]{1,100}$' then
        raise exception 'the address of a webhook is the name of its [webhooks.NAME] in the configuration of the daemon, and % is none', quote_literal(left(new.address, 100))
            using errcode = 'check_violation';
    elsif new.channel = 'mail' and (octet_length(new.address) > 254 or position('=?' in new.address) > 0
            or new.address !~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$') then
        raise exception '% is no mail address that can be written to', quote_literal(left(new.address, 100)) using errcode = 'check_violation';
    end if;
    return new;
end $$;
drop trigger guard on tminus.contacts;
create trigger guard before insert or update of channel, address, news on tminus.contacts for each row execute function tminus.guard_contact();

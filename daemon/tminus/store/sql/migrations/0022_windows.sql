-- Windows: the times at which starts are allowed, by weekly rules and one-off spans in a time zone.
--
-- A window is for all sites, for those that have a tag, or only for the scheduled scripts that name it. Each of these that has
-- windows is a level of its own (all sites; each tag of a site; the script), and at each level one of them has to be open.
-- What runs when a window closes goes on; new sites do not start. What waits is missed after its start_within.
--
-- The daemon computes the opening that goes on or comes next; everyone compares it with the clock. A plan that is over, or that
-- is not there yet, is a closed window.

create table tminus.windows (
    name text primary key,
    timezone text not null default 'UTC',
    weekly text[] not null default '{}',
    spans tstzrange[] not null default '{}',
    scope text not null default 'named',
    tag text,
    -- Written by the daemon.
    opens_at timestamptz,
    closes_at timestamptz,
    planned_at timestamptz,
    -- Written by the guard.
    updated_at timestamptz not null,
    updated_by text not null
);

-- A weekly rule: days and times on the clock on the wall, such as 'mon-thu 22:00-04:00' (until 04:00 of the next day),
-- 'sat,sun 00:00-24:00' or 'daily 02:00-05:00'. Keep in step with tminus.domain.windows.parse_weekly.
create function tminus.is_weekly_rule(rule text) returns boolean
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select coalesce(rule ~ ('^(daily|' || d || '(-' || d || ')?(,' || d || '(-' || d || ')?)*)'
        || ' ([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'), false)
    from (values ('(mon|tue|wed|thu|fri|sat|sun)')) as v (d)
$$;

create function tminus.guard_window() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
    wrong text;
begin
    if tg_op = 'UPDATE' and (new.name, new.timezone, new.weekly, new.spans, new.scope, new.tag) is not distinct from
        (old.name, old.timezone, old.weekly, old.spans, old.scope, old.tag) then
        new.updated_at := old.updated_at;
        new.updated_by := old.updated_by;
        return new;
    end if;
    if new.name !~ '^[^[:cntrl:]]{1,100}$' then
        raise exception 'the name of a window has 1 to 100 printable characters' using errcode = 'check_violation', column = 'name';
    end if;
    if new.scope not in ('all', 'tag', 'named') or (new.scope = 'tag') <> (new.tag is not null) then
        raise exception 'the scope of window % is all, tag (with a tag) or named (for scripts that name it)', quote_literal(new.name)
            using errcode = 'check_violation', column = 'scope';
    end if;
    if not tminus.is_timezone(new.timezone) then
        raise exception 'window %: there is no time zone %', quote_literal(new.name), quote_literal(tminus.printable(new.timezone))
            using errcode = 'check_violation', column = 'timezone', hint = 'Use a name of the IANA database, such as Europe/Berlin.';
    end if;
    new.weekly := array(select lower(btrim(r.rule)) from unnest(new.weekly) with ordinality as r (rule, position) order by r.position);
    select r.rule into wrong from unnest(new.weekly) as r (rule) where not tminus.is_weekly_rule(r.rule) limit 1;
    if found or cardinality(new.weekly) > 100 then
        raise exception 'window %: the weekly rule % is not understood', quote_literal(new.name), coalesce(quote_literal(tminus.printable(wrong)), 'beyond the hundredth')
            using errcode = 'check_violation', column = 'weekly', hint = 'Write days and times: mon-thu 22:00-04:00, sat,sun 00:00-24:00, daily 02:00-05:00.';
    end if;
    if cardinality(new.spans) > 1000
        or exists (select from unnest(new.spans) as s (span) where (isfinite(lower(s.span)) and isfinite(upper(s.span)) and lower(s.span) < upper(s.span)) is not true) then
        raise exception 'window %: spans is a list of at most 1000 ranges with a beginning and a later end', quote_literal(new.name)
            using errcode = 'check_violation', column = 'spans', hint = 'Such as array[tstzrange(''2030-11-25 02:00+00'', ''2030-11-25 05:00+00'')].';
    end if;
    if cardinality(new.weekly) + cardinality(new.spans) = 0 then
        raise exception 'window % has neither a weekly rule nor a span: it would never be open', quote_literal(new.name) using errcode = 'check_violation', column = 'weekly';
    end if;
    -- Closed until the daemon has planned it anew.
    new.opens_at := null;
    new.closes_at := null;
    new.planned_at := null;
    new.updated_at := tminus.clock();
    new.updated_by := tminus.acting();
    return new;
end $$;
-- The windows that a scheduled script names: each is there. Called by the guard of scheduled scripts.
create function tminus.check_windows(p_windows text[]) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    unknown text;
begin
    if p_windows is null or array_ndims(p_windows) > 1 or cardinality(p_windows) > 20 or array_position(p_windows, null) is not null then
        raise exception 'windows is a plain list of at most 20 names of windows' using errcode = 'check_violation', column = 'windows';
    end if;
    select n.name into unknown from unnest(p_windows) as n (name) where not exists (select from tminus.windows w where w.name = n.name) limit 1;
    if found then
        raise exception 'there is no window %', quote_literal(tminus.printable(unknown))
            using errcode = 'foreign_key_violation', column = 'windows', hint = 'See tminus.windows.';
    end if;
end $$;

create trigger guard before insert or update on tminus.windows for each row execute function tminus.guard_window();

create function tminus.follow_window() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    waiting uuid;
begin
    if tg_op <> 'INSERT' and (tg_op = 'DELETE' or new.name <> old.name) then
        select s.id into waiting from tminus.scheduled_scripts s where old.name = any (s.windows) and s.status in ('unauthorized', 'scheduled') limit 1;
        if found then
            raise exception 'scheduled script % names the window %', waiting, quote_literal(old.name)
                using errcode = 'foreign_key_violation', hint = 'Edit or cancel it first: without the window it would never start.';
        end if;
    end if;
    if tg_op = 'DELETE' then
        perform tminus.record('window_removed', tminus.acting(), null, null, null, jsonb_build_object('window', old.name));
    elsif tg_op = 'INSERT' or new.updated_at is distinct from old.updated_at then
        perform tminus.record('window_set', tminus.acting(), null, null, null,
            to_jsonb(new) - '{opens_at,closes_at,planned_at,updated_at,updated_by}'::text[]);
    end if;
    perform pg_notify('tminus', 'window');
    return null;
end $$;
create trigger follow after insert or update or delete on tminus.windows for each row execute function tminus.follow_window();

create function tminus.is_open(w tminus.windows, at timestamptz) returns boolean
language sql immutable parallel safe
return coalesce(w.opens_at <= at and at < w.closes_at, false);

-- Where nothing may be started now, by freezes and by windows: everywhere, or on sites that have one of these tags.
create function tminus.closed_now(out everywhere boolean, out tags text[])
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select
        exists (select from tminus.freezes f where f.thawed_at is null and f.until > tminus.clock() and f.tag is null)
            or (select not bool_or(tminus.is_open(w, tminus.clock())) from tminus.windows w where w.scope = 'all') is true,
        array(
            select f.tag from tminus.freezes f where f.thawed_at is null and f.until > tminus.clock() and f.tag is not null
            union
            select w.tag from tminus.windows w where w.scope = 'tag' group by w.tag having not bool_or(tminus.is_open(w, tminus.clock())))
$$;

-- Whether one of these windows is open now, or none is named.
create function tminus.is_any_open(p_windows text[]) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select cardinality(p_windows) = 0 or exists (select from tminus.windows w where w.name = any (p_windows) and tminus.is_open(w, tminus.clock()))
$$;

create function tminus.name_windows(p_windows tminus.windows[]) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select string_agg(w.name || case
        when w.planned_at is null then ' (not planned yet)'
        when w.opens_at is null then ' (opens no more)'
        else ' (' || tminus.api_time(w.opens_at) || ' to ' || tminus.api_time(w.closes_at) || ')' end, ', ' order by w.name)
    from unnest(p_windows) as w
$$;

-- Why nothing could be started at a moment (now, or a little earlier) on a site with these tags by a script that names these
-- windows, as part of a sentence; null where it could.
create function tminus.why_closed(p_tags text[], p_windows text[], p_at timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(tminus.why_frozen(p_tags, p_at), (
        select 'outside of ' || level.called || ': ' || level.windows
        from (
            select 1 as rank, 'the windows for all sites' as called, bool_or(tminus.is_open(w, p_at)) as is_open, tminus.name_windows(array_agg(w)) as windows
            from tminus.windows w where w.scope = 'all' having count(*) > 0
            union all
            select 2, 'the windows for the tag ' || quote_literal(w.tag), bool_or(tminus.is_open(w, p_at)), tminus.name_windows(array_agg(w))
            from tminus.windows w where w.scope = 'tag' and w.tag = any (p_tags) group by w.tag
            union all
            select 3, 'the windows of the script', coalesce(bool_or(tminus.is_open(w, p_at)), false),
                coalesce(tminus.name_windows(array_agg(w)), array_to_string(p_windows, ', ') || ' is gone')
            from tminus.windows w where w.name = any (p_windows) having cardinality(p_windows) > 0
        ) level
        where not level.is_open
        order by level.rank, level.called
        limit 1))
$$;

grant select on tminus.windows to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.is_weekly_rule(text), tminus.check_windows(text[]), tminus.is_open(tminus.windows, timestamptz), tminus.closed_now(), tminus.is_any_open(text[]),
    tminus.why_closed(text[], text[], timestamptz), tminus.name_windows(tminus.windows[])
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
-- Who keeps the sites and their tags keeps the windows.
grant insert (name, timezone, weekly, spans, scope, tag), update (name, timezone, weekly, spans, scope, tag), delete on tminus.windows to tminus_gateway;
grant update (opens_at, closes_at, planned_at) on tminus.windows to tminus_daemon;

-- `local_time`: one launch at a time on the clock on the wall of each site, by sites.timezone. Its site runs have their own
-- `due_at`; start_within counts from there. `stop_starting_at`: no site starts from then on, whatever time it has left.

-- The first moment at which the clock on the wall of a zone shows a time, or, where it leaves that out, the moment at which it
-- jumps over it.
create function tminus.local_instant(p_wall timestamp, p_zone text) returns timestamptz
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    as_utc timestamptz := p_wall at time zone 'UTC';
    found timestamptz;
    early timestamptz;
    late timestamptz;
    middle timestamptz;
begin
    -- What it is with each distance from UTC that the zone has around that day: none is further away, and none sets its clock
    -- twice in nine hours.
    select min(c.moment) filter (where c.moment at time zone p_zone = p_wall), min(c.moment), max(c.moment) into found, early, late
    from (
        select distinct as_utc - ((s.moment at time zone p_zone) - (s.moment at time zone 'UTC')) as moment
        from generate_series(as_utc - interval '27 hours', as_utc + interval '27 hours', interval '9 hours') as s (moment)
    ) c;
    if found is not null then
        return found;
    end if;
    -- The clock jumps over it, in some second between these.
    early := date_trunc('second', early);
    late := date_trunc('second', late) + interval '1 second';
    while late - early > interval '1 second' loop
        middle := early + make_interval(secs => floor(extract(epoch from late - early) / 2)::double precision);
        if middle at time zone p_zone >= p_wall then
            late := middle;
        else
            early := middle;
        end if;
    end loop;
    return late;
end $$;

-- When it is first that time on one of these sites.
create function tminus.first_local_instant(p_wall timestamp, p_sites text[]) returns timestamptz
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select min(tminus.local_instant(p_wall, z.timezone))
    from (select distinct s.timezone from tminus.sites s where s.id = any (p_sites)) z
$$;

-- Whether the time is over in which the sites of a launch with this local moment may start: `start_within` after it, or after
-- the latest that was taken up or ended among them.
create function tminus.turn_is_over(p_launch uuid, p_due_at timestamptz, p_start_within interval) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select p_due_at + p_start_within < tminus.clock() and not exists (
        select from tminus.site_runs o
        where o.launch_id = p_launch and o.due_at = p_due_at and o.turn_at is not null
            and (o.finished_at is null and o.instance_id is not null or greatest(o.started_at, o.finished_at) + p_start_within >= tminus.clock()))
$$;

-- A site that moves to another zone takes what waits for it along.
create function tminus.follow_timezone() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    update tminus.scheduled_scripts u
    set launch_at = tminus.first_local_instant(u.local_time, u.sites)
    where u.local_time is not null and u.status in ('unauthorized', 'scheduled')
        and u.id in (select x.script_id from tminus.scheduled_script_sites x where x.site_id = new.id);
    return null;
end $$;
create trigger timezone after update on tminus.sites for each row
    when (new.timezone <> old.timezone)
    execute function tminus.follow_timezone();

grant execute on function tminus.local_instant(timestamp, text), tminus.first_local_instant(timestamp, text[])
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

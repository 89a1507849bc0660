-- What a rehearsal could be in the way of. It holds the router of a site, and whatever is to be done there meanwhile waits; that must
-- not be missed for it. Where it is not known whether it would be, it would.

-- When a router that a rehearsal takes up now is free again: after its time, and a minute in which it ends and that is written.
create function tminus.rehearsal_end(p_site_timeout interval) returns timestamptz
language sql stable
return tminus.clock() + p_site_timeout + interval '1 minute';

-- Whether that which one of these windows lets start before `p_until` could no more at that moment: the last of them closes before.
-- Null where none of them is open before. A window of which the next opening is not known may open at any moment.
create function tminus.closes_by(p_windows tminus.windows[], p_until timestamptz) returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select case when bool_or(w.planned_at is null or w.opens_at < p_until) then not bool_or(tminus.is_open(w, p_until)) end
    from unnest(p_windows) as w
$$;

-- The same for the windows of all sites, and the tags for which they are closed until then and for which they close before. A freeze
-- is not known before it begins, and what waits for its end waits for no router.
create function tminus.closing_by(p_until timestamptz, out everywhere boolean, out closed_tags text[], out closing_tags text[])
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select
        (select case when count(*) > 0 then tminus.closes_by(array_agg(w), p_until) else false end from tminus.windows w where w.scope = 'all'),
        coalesce(array_agg(t.tag) filter (where t.closes is null), '{}'),
        coalesce(array_agg(t.tag) filter (where t.closes), '{}')
    from (select w.tag, tminus.closes_by(array_agg(w), p_until) as closes from tminus.windows w where w.scope = 'tag' group by w.tag) t
$$;

-- The sites (of `p_sites`, or null for all) on which something would be missed if a rehearsal took up their routers now, and what, as
-- the first part of a sentence. What is due meanwhile and may start later only waits.
create function tminus.missed_for_rehearsals(p_sites text[], p_site_timeout interval) returns table (site_id text, missed text)
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
        select l.id, l.due_at, l.start_within, l.start_until, l.paused_at, l.open_to, o.is_over, o.closes
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
                    when p.due_at is not null then p.due_at + q.start_within
                    when p.position > q.open_to or q.paused_at is not null then tminus.clock() + q.start_within
                    else q.start_until end < tminus.rehearsal_end(p_site_timeout)
                or q.closes is not null
                    and (select not s.tags && c.closed_tags and (q.closes or s.tags && c.closing_tags) from tminus.sites s where s.id = p.site_id))
    ) m
    order by m.site_id, m.rank, m.at, m.id
$$;

-- The same for one site; null where nothing would be missed.
create function tminus.missed_for_rehearsal(p_site text, p_site_timeout interval) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select m.missed from tminus.missed_for_rehearsals(array[p_site], p_site_timeout) m $$;

-- The sites that no rehearsal with such a site_timeout may take up now, for those that go on: once for all of their sites, since one
-- may wait on thousands and none of them be to be had.
create function tminus.not_to_be_held() returns table (site_timeout interval, site_id text)
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select h.site_timeout, m.site_id
    from (select distinct l.site_timeout from tminus.launches l where l.finished_at is null and l.state = 'running' and l.kind = 'rehearsal') h
    cross join lateral tminus.missed_for_rehearsals(null, h.site_timeout) m
$$;

grant execute on function tminus.missed_for_rehearsal(text, interval) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

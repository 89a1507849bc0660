-- On how many sites with one tag something may run at the same time, over all launches and daemons: a shared uplink, a bastion. The claim
-- (0008_running.sql) holds the rows of the tags that it counts; what it could not have is left to a later look.

create table tminus.tag_caps (
    tag text primary key check (tag ~ '^[^[:cntrl:]]{1,200}$'),
    max_running integer not null check (max_running between 0 and 100000),
    set_at timestamptz not null,
    set_by text not null
);

-- How many places of each capped tag are taken.
create function tminus.tag_use() returns table (tag text, max_running integer, running integer)
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select c.tag, c.max_running, coalesce(u.running, 0)::integer
    from tminus.tag_caps c
    left join (
        select t.tag, count(*) as running
        from tminus.site_runs r
        join tminus.sites s on s.id = r.site_id
        cross join unnest(s.tags) as t (tag)
        where r.finished_at is null and r.state = 'running'
        group by t.tag
    ) u on u.tag = c.tag
$$;

-- Why a site waits for its tags, as part of a sentence; null where they have places.
create function tminus.why_capped(tags text[]) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select string_agg(format('all %s places of the tag %L are taken', u.max_running, u.tag), ', ' order by u.tag)
    from tminus.tag_use() u
    where u.tag = any ($1) and u.running >= u.max_running
$$;

-- Let something run on at most `max_running` sites with this tag at the same time; null lifts the cap, 0 stops new starts there. What runs
-- goes on. `by` is the person, or null for the caller: an approver or a gateway.
create function tminus.cap_tag(tag text, max_running integer, by text default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    who text := tminus.principal(cap_tag.by);
    was integer;
begin
    if not tminus.oversees() then
        raise exception '% may not cap a tag: only members of tminus_approver and tminus_gateway do', who using errcode = 'insufficient_privilege';
    elsif cap_tag.tag is null or cap_tag.tag !~ '^[^[:cntrl:]]{1,200}$' then
        raise exception 'a tag has 1 to 200 printable characters' using errcode = 'check_violation';
    elsif cap_tag.max_running not between 0 and 100000 then
        raise exception 'max_running must lie between 0 and 100000, or be null for no cap' using errcode = 'check_violation';
    end if;
    select c.max_running into was from tminus.tag_caps c where c.tag = cap_tag.tag;
    if cap_tag.max_running is null then
        delete from tminus.tag_caps c where c.tag = cap_tag.tag;
    else
        insert into tminus.tag_caps (tag, max_running, set_at, set_by)
        values (cap_tag.tag, cap_tag.max_running, tminus.clock(), who)
        on conflict on constraint tag_caps_pkey do update
        set max_running = excluded.max_running, set_at = excluded.set_at, set_by = excluded.set_by;
    end if;
    perform tminus.record('tag_capped', who, null, null, null, jsonb_build_object('tag', cap_tag.tag, 'was', was, 'max_running', cap_tag.max_running));
    perform pg_notify('tminus', 'launch');
end $$;

grant select on tminus.tag_caps to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.tag_use(), tminus.why_capped(text[]) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.cap_tag(text, integer, text) to tminus_author, tminus_approver, tminus_gateway;

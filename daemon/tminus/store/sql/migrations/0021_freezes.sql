-- Freezes: a person stops all new starts, everywhere or on the sites that have a tag, at once and for a time.
--
-- Nothing is claimed there, and what is claimed and not past its point of no return goes back to wait. What runs goes on.
-- What a freeze holds back waits within its start_within; after that it is missed, and its message names the freeze.

create table tminus.freezes (
    id bigint generated always as identity primary key,
    tag text,  -- null: all sites
    until timestamptz not null,
    reason text not null,
    since timestamptz not null default tminus.clock(),
    frozen_by text not null,
    thawed_at timestamptz,
    thawed_by text,
    note text,
    check ((thawed_at is null) = (thawed_by is null) and (thawed_at is null) = (note is null))
);
create index freezes_open on tminus.freezes (until) where thawed_at is null;
create trigger keep before delete or truncate on tminus.freezes for each statement execute function tminus.refuse_delete();

-- The freeze of a site with these tags that lasts longest, at a moment, as part of a sentence; null where it was not frozen.
create function tminus.why_frozen(p_tags text[], p_at timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select 'starts ' || coalesce('on sites with the tag ' || quote_literal(f.tag) || ' ', '') || 'are frozen until ' || to_char(f.until at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"')
        || ' by ' || f.frozen_by || ' (' || f.reason || ')'
    from tminus.freezes f
    where f.since <= p_at and f.until > p_at and (f.thawed_at is null or f.thawed_at > p_at) and (f.tag is null or f.tag = any (p_tags))
    order by f.until desc, f.id
    limit 1
$$;

-- Whether nothing may be started now on a site; with `p_grace`, or was until so long ago.
create function tminus.is_frozen(p_site text, p_grace interval default interval '0') returns boolean
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select exists (
        select from tminus.freezes f
        where f.until > tminus.clock() - p_grace and (f.thawed_at is null or f.thawed_at > tminus.clock() - p_grace)
            and (f.tag is null or f.tag = any ((select s.tags from tminus.sites s where s.id = p_site)::text[])))
$$;

-- Stop all new starts until a moment: on the sites that have `tag`, or, where it is null, everywhere. `by` is the person, or
-- null for the caller: an approver or a gateway. Returns the number of the freeze.
create function tminus.freeze(tag text, until timestamptz, reason text, by text default null) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    -- FREEZE is a word of SQL, so its parameters cannot be qualified with it.
    the_tag alias for $1;
    the_end alias for $2;
    the_reason text := regexp_replace($3, '^[[:space:]]+|[[:space:]]+$', '', 'g');
    who text := tminus.principal($4);
    new_id bigint;
begin
    if not tminus.oversees() then
        raise exception '% may not freeze anything: only members of tminus_approver and tminus_gateway do', who
            using errcode = 'insufficient_privilege';
    end if;
    if coalesce(the_reason, '') = '' or the_reason ~ '[[:cntrl:]]' or octet_length(the_reason) > 1000 then
        raise exception 'a freeze needs a reason of printable characters (at most 1000 bytes): it is what everyone reads who waits' using errcode = 'check_violation';
    end if;
    if the_end is null or not isfinite(the_end) or the_end <= tminus.clock() or the_end > tminus.clock() + interval '366 days' then
        raise exception 'a freeze lasts until a moment of the coming year (it is %)', tminus.api_time(tminus.clock())
            using errcode = 'check_violation', hint = 'Give a time that is still to come; tminus.thaw(id, note) ends it sooner.';
    end if;
    if not exists (select from tminus.sites s where the_tag = any (s.tags)) and the_tag is not null then
        raise exception 'no site has the tag %, so nothing would be frozen', quote_literal(tminus.printable(the_tag))
            using errcode = 'no_data_found', hint = 'See tminus.sites for the tags; null freezes all sites.';
    end if;
    insert into tminus.freezes (tag, until, reason, frozen_by) values (the_tag, the_end, the_reason, who) returning id into new_id;
    perform tminus.record('frozen', who, null, null, null, jsonb_build_object('freeze', new_id, 'tag', the_tag, 'until', the_end, 'reason', the_reason));
    perform pg_notify('tminus', 'frozen');
    return new_id;
end $$;

-- End a freeze before its time, with a note that says why. `by` is the person, or null for the caller: an approver or a gateway.
create function tminus.thaw(id bigint, note text, by text default null) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    who text := tminus.principal(thaw.by);
    the_note text;
    f tminus.freezes;
begin
    if not tminus.oversees() then
        raise exception '% may not thaw anything: only members of tminus_approver and tminus_gateway do', who
            using errcode = 'insufficient_privilege';
    end if;
    the_note := tminus.required_note(thaw.note);
    select * into f from tminus.freezes q where q.id = thaw.id for no key update;
    if not found then
        raise exception 'there is no freeze %', thaw.id using errcode = 'no_data_found', hint = 'See tminus.freezes.';
    end if;
    if f.thawed_at is not null or f.until <= tminus.clock() then
        raise exception 'freeze % is over already, %', f.id,
            case when f.thawed_at is null then 'since ' || tminus.api_time(f.until) else 'thawed by ' || f.thawed_by || ' at ' || tminus.api_time(f.thawed_at) end
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    update tminus.freezes u set thawed_at = tminus.clock(), thawed_by = who, note = the_note where u.id = f.id;
    perform tminus.record('thawed', who, null, null, null, jsonb_build_object('freeze', f.id, 'tag', f.tag, 'note', the_note));
    perform pg_notify('tminus', 'thawed');
end $$;

grant select on tminus.freezes to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.why_frozen(text[], timestamptz), tminus.is_frozen(text, interval) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
-- An author is refused by a sentence, not by a missing grant.
grant execute on function tminus.freeze(text, timestamptz, text, text), tminus.thaw(bigint, text, text) to tminus_author, tminus_approver, tminus_gateway;

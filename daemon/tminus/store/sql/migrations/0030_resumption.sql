-- Hosts that hold themselves back after this database lost starts, until an approver has signed for them to go on.
--
-- Where a daemon asks for signatures it does not take this database's word that a person accepted what is lost (tminus.lost_starts). It
-- keeps on its own host for which starts it holds back, under an id that it draws, and says so here. What is signed names all holds that
-- are open and all that is lost. domain/resumption.py builds the same text and the same digest.

create table tminus.host_holds (
    id uuid primary key,
    -- Who said so last. Not a reference: it is said before an instance registers.
    instance_id uuid not null,
    since timestamptz not null default tminus.clock(),
    nonces text[] not null,
    launches uuid[] not null,
    sites text[] not null,
    moments timestamptz[] not null,
    -- Why what was signed does not count there.
    why text check (octet_length(why) <= 4000),
    released_at timestamptz,
    check (cardinality(nonces) = cardinality(launches) and cardinality(nonces) = cardinality(sites) and cardinality(nonces) = cardinality(moments))
);
create index host_holds_open on tminus.host_holds (since) where released_at is null;

-- What approvers signed. (Each host verifies it for itself, once.)
create table tminus.resumptions (
    id bigint generated always as identity primary key,
    at timestamptz not null default tminus.clock(),
    holds uuid[] not null,
    nonces text[] not null,
    launches uuid[] not null,
    sites text[] not null,
    moments timestamptz[] not null,
    approver text not null,
    expires_at timestamptz not null,
    signature text not null
);
create index resumptions_by_hold on tminus.resumptions using gin (holds);

create trigger keep before delete or truncate on tminus.host_holds for each statement execute function tminus.refuse_delete();
create trigger keep before update or delete or truncate on tminus.resumptions for each statement execute function tminus.refuse_delete();

create function tminus.held_starts() returns table (nonce text, launch_id uuid, site_id text, started_at timestamptz)
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select l.nonce, l.launch_id, l.site_id, l.started_at from tminus.lost_starts l where l.accepted_at is null
    union
    select u.nonce, u.launch, u.site, u.moment
    from tminus.host_holds h, unnest(h.nonces, h.launches, h.sites, h.moments) as u (nonce, launch, site, moment)
    where h.released_at is null
    order by 4, 1
$$;

create function tminus.resume_digest() returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select 'tminus1:' || tminus.sha256_hex(
        tminus.netstring('resume_all') || tminus.netstring(count(*)::text) || coalesce(string_agg(tminus.netstring(h.id::text), '' order by h.id), '')
        || (select coalesce(string_agg(tminus.netstring(s.nonce) || tminus.netstring(s.launch_id::text) || tminus.netstring(s.site_id)
                || tminus.netstring(tminus.api_time(s.started_at)), '' order by s.nonce collate "C", s.launch_id, s.site_id collate "C", s.started_at), '')
            from tminus.held_starts() s))
    from tminus.host_holds h
    where h.released_at is null
$$;

-- What `approver` (null: the caller) signs to let all hosts go on that hold themselves back now. Null if nothing is held back.
create function tminus.resume_statement(approver text, expires timestamptz) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(e'\n', 'tminus authorization, version 1', 'act: resume_all', 'holds: ' || h.count, 'starts: ' || s.count, 'digest: ' || tminus.resume_digest(),
        'approver: ' || coalesce(resume_statement.approver, session_user), 'expires: ' || tminus.api_time(resume_statement.expires))
    from (select count(*) from tminus.host_holds q where q.released_at is null) h, (select count(*) from tminus.held_starts()) s
    where h.count > 0 or s.count > 0
$$;

-- The daemon's, of its own host alone.
create function tminus.say_held(p_hold uuid, p_instance uuid, p_nonces text[], p_launches uuid[], p_sites text[], p_moments timestamptz[], p_why text) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    insert into tminus.host_holds (id, instance_id, nonces, launches, sites, moments, why)
    values (p_hold, p_instance, p_nonces, p_launches, p_sites, p_moments, p_why)
    on conflict (id) do update set instance_id = p_instance, nonces = p_nonces, launches = p_launches, sites = p_sites, moments = p_moments, why = p_why,
        released_at = null
    where (host_holds.instance_id, host_holds.nonces, host_holds.why) is distinct from (p_instance, p_nonces, p_why) or host_holds.released_at is not null
$$;

create function tminus.release_holds(p_holds uuid[], p_instance uuid) returns void
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    update tminus.host_holds h set released_at = tminus.clock(), instance_id = p_instance, why = null where h.id = any (p_holds) and h.released_at is null
$$;

grant select on tminus.host_holds, tminus.resumptions to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.held_starts(), tminus.resume_digest(), tminus.resume_statement(text, timestamptz)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.say_held(uuid, uuid, text[], uuid[], text[], timestamptz[], text), tminus.release_holds(uuid[], uuid) to tminus_daemon;

-- The audit trail cannot be changed unnoticed: acts are chained by SHA-256, in batches, by one writer at a time.
--
--   event hash = sha256 of the netstrings of 'tminus-audit1' and of each field that is not null, name and value, in this order: id, at,
--                kind, script_id, launch_id, site_id, principal, session, source, detail (as jsonb's text)
--   seal hash  = sha256 of the netstrings of the seal before (empty for the first), seq, event_id, event hash, sealed_at
--
-- Both in hexadecimal digits; moments as the API writes them. domain/audit.py computes the same. An event that retention forgot
-- leaves its seal. Who owns the database can write the whole chain anew: so each daemon remembers, on its host, how far it got
-- and with which hash ('tminus audit verify' compares), and tells its log.

create table tminus.audit_seals (
    seq bigint primary key check (seq > 0),
    event_id bigint not null unique,
    event_hash text not null,
    sealed_at timestamptz not null,
    hash text not null
);
create trigger append_only before update or delete or truncate on tminus.audit_seals
    for each statement execute function tminus.refuse_change_of_history();
create trigger keep before delete or truncate on tminus.audit_seals for each statement execute function tminus.refuse_delete();

-- Events that wait for their seal.
create table tminus.unsealed_events (event_id bigint primary key);

create function tminus.queue_for_seal() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into tminus.unsealed_events (event_id) values (new.id);
    return null;
end $$;
-- All but the progress of each site: who did what, and what came of it as a whole.
create trigger seal after insert on tminus.events for each row
    when (new.kind not in ('site_completed', 'site_failed', 'site_skipped', 'site_unknown', 'late_evidence'))
    execute function tminus.queue_for_seal();

create function tminus.event_hash(e tminus.events) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.sha256_hex(tminus.netstring('tminus-audit1')
        || tminus.digest_field('id', e.id::text) || tminus.digest_field('at', tminus.api_time(e.at)) || tminus.digest_field('kind', e.kind)
        || tminus.digest_field('script_id', e.script_id::text) || tminus.digest_field('launch_id', e.launch_id::text)
        || tminus.digest_field('site_id', e.site_id) || tminus.digest_field('principal', e.principal)
        || tminus.digest_field('session', e.session) || tminus.digest_field('source', e.source) || tminus.digest_field('detail', e.detail::text))
$$;

-- Duties that one daemon does at a time: who does it holds the row. Advisory locks would not do, which every login may take, and
-- keep, without a trace.
create table tminus.duties (name text primary key);
insert into tminus.duties (name) values ('seal_events'), ('raise_news'), ('gather_letters');

create function tminus.take_duty(p_name text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    perform from tminus.duties d where d.name = p_name for update skip locked;
    return found;
end $$;

-- The daemon's: seal up to p_limit events that wait. Returns how many, and the latest seal with its event; `seq` is null where there
-- is none. Another daemon that is at it: nothing is sealed.
create function tminus.seal_events(p_limit integer, out sealed integer, out seq bigint, out hash text, out event_id bigint, out event_hash text)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    e tminus.events;
    moment timestamptz := tminus.clock();
begin
    sealed := 0;
    if tminus.take_duty('seal_events') then
        select s.seq, s.hash, s.event_id, s.event_hash into seq, hash, event_id, event_hash from tminus.audit_seals s order by s.seq desc limit 1;
        for e in
            select v.* from tminus.unsealed_events q join tminus.events v on v.id = q.event_id order by v.id limit p_limit
        loop
            seq := coalesce(seq, 0) + 1;
            event_id := e.id;
            event_hash := tminus.event_hash(e);
            hash := tminus.sha256_hex(tminus.netstring(coalesce(hash, '')) || tminus.netstring(seq::text) || tminus.netstring(event_id::text)
                || tminus.netstring(event_hash) || tminus.netstring(tminus.api_time(moment)));
            insert into tminus.audit_seals (seq, event_id, event_hash, sealed_at, hash) values (seq, e.id, seal_events.event_hash, moment, seal_events.hash);
            delete from tminus.unsealed_events q where q.event_id = e.id;
            sealed := sealed + 1;
        end loop;
    end if;
end $$;

-- The daemon's: whether this database has an act that its host remembers as the latest one, or a person accepted that it does not. If
-- not, that is noted, and nothing is started by anyone until a person has accepted it. A seal may be lost where the act is not (a
-- failover), and is made anew then.
create function tminus.note_lost_acts(p_by text, p_seal bigint, p_event bigint, p_event_hash text) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if exists (select from tminus.audit_seals s where s.event_id = p_event and s.event_hash = p_event_hash)
        or exists (select from tminus.events e where e.id = p_event and tminus.event_hash(e) = p_event_hash) then
        return true;
    end if;
    insert into tminus.lost_acts (event_id, event_hash, seal, noticed_by) values (p_event, p_event_hash, p_seal, p_by)
    on conflict (event_id, event_hash) do nothing;
    if found then
        insert into tminus.events (kind, principal, detail)
        values ('history_lost', p_by, jsonb_build_object('seal', p_seal, 'event', p_event, 'event_hash', p_event_hash));
        perform pg_notify('tminus', 'paused');
    end if;
    return exists (select from tminus.lost_acts l where l.event_id = p_event and l.event_hash = p_event_hash and l.accepted_at is not null);
end $$;

grant select on tminus.audit_seals, tminus.unsealed_events to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.event_hash(tminus.events) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.seal_events(integer), tminus.note_lost_acts(text, bigint, bigint, text) to tminus_daemon;

-- Telling people: whom to write to, what there is to tell, and how far each letter has come.
--
--   events --trigger--> outbox --gather_letters--> letters: pending --> sent
--   raise_news ----------^                                     |------> failed   (refused, or not delivered in time)
--                                                              '------> dropped  (its contact was disabled meanwhile)
--
-- A row of the outbox is one piece of news for one contact: of a launch, never of a site, so that a run of 500 sites costs
-- what a run of one does. A letter carries one piece of news, or of a contact with `digest_every` all that came meanwhile.
-- What a letter carries is fixed when it is gathered: its id is the message's, however often it has to be sent.

-- How to reach a person. A person is a principal, as in created_by and notify.
create table tminus.contacts (
    id bigint generated always as identity primary key,
    person text not null check (person ~ '^[^[:cntrl:]]{1,200}$'),
    channel text not null check (channel in ('mail', 'webhook')),
    -- Of mail, the address; of a webhook, its name in the configuration of the daemon, which alone knows address and secret.
    address text not null,
    -- What to tell; null is all.
    news text[] check (news <@ array['authorization_requested', 'authorized', 'authorization_withdrawn', 'authorization_expired', 'about_to_launch',
        'run_now', 'launched', 'launch_refused', 'sites_failed', 'wave_waiting', 'halted', 'finished', 'missed', 'cancelled']),
    -- Null: at once. Else all that came within this long is one letter.
    digest_every interval check (digest_every between interval '1 minute' and interval '7 days'),
    enabled boolean not null default true,
    unique (person, channel, address),
    constraint mail_address check (channel <> 'mail' or octet_length(address) <= 254 and address ~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$'),
    constraint webhook_name check (channel <> 'webhook' or address ~ '^[A-Za-z0-9_-]{1,100}$')
);
create function tminus.guard_contact() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if new.channel = 'webhook' and new.address !~ '^[A-Za-z0-9_-]{1,100}$' then
        raise exception 'the address of a webhook is the name of its [webhooks.NAME] in the configuration of the daemon, and % is none', quote_literal(left(new.address, 100))
            using errcode = 'check_violation';
    elsif new.channel = 'mail' and (octet_length(new.address) > 254
            or new.address !~ '^[A-Za-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$') then
        raise exception '% is no mail address that can be written to', quote_literal(left(new.address, 100)) using errcode = 'check_violation';
    end if;
    return new;
end $$;
create trigger guard before insert or update of channel, address on tminus.contacts for each row execute function tminus.guard_contact();
create trigger keep before delete or truncate on tminus.contacts for each statement execute function tminus.refuse_delete();

-- Who is told no more finds out too late. Without the address, which is not for everybody who reads events.
create function tminus.record_contact() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    perform tminus.record('contact_set', tminus.acting(), null, null, null, jsonb_strip_nulls(to_jsonb(new)) - 'address'::text);
    return null;
end $$;
create trigger record after insert on tminus.contacts for each row execute function tminus.record_contact();
create trigger record_change after update on tminus.contacts for each row when (old.* is distinct from new.*) execute function tminus.record_contact();

-- What events are news, and whether the author is told besides those in `notify`. Data, so that an event which is
-- recorded one day is told from then on.
create table tminus.news_kinds (
    event_kind text primary key,
    news text not null,
    tells_author boolean not null
);
insert into tminus.news_kinds values
    ('authorization_requested', 'authorization_requested', false),
    ('authorized', 'authorized', true),
    ('authorization_withdrawn', 'authorization_withdrawn', true),
    ('authorization_expired', 'authorization_expired', true),
    ('run_now', 'run_now', true),
    ('launched', 'launched', false),
    ('launch_refused', 'launch_refused', true),
    ('wave_asked', 'wave_waiting', true),
    ('halted', 'halted', true),
    ('launch_finished', 'finished', true),
    ('launch_missed', 'missed', true),
    ('cancelled', 'cancelled', true);

create table tminus.letters (
    id uuid primary key default gen_random_uuid(),
    contact_id bigint not null,
    made_at timestamptz not null default tminus.clock(),
    state text not null default 'pending' check (state in ('pending', 'sent', 'failed', 'dropped')),
    attempts integer not null default 0,
    next_try_at timestamptz not null default tminus.clock(),
    last_error text check (octet_length(last_error) <= 4000),
    ended_at timestamptz,
    check ((state = 'pending') = (ended_at is null))
);
create index letters_pending on tminus.letters (next_try_at) where state = 'pending';
create index letters_failed on tminus.letters (ended_at) where state = 'failed';

-- No foreign keys: filling this must wait for nobody, since launches do it.
create table tminus.outbox (
    id bigint generated always as identity primary key,
    contact_id bigint not null,
    -- What is told once, to a contact: 'event 41', 'launch … sites_failed', 'script … at …'.
    source text not null,
    news text not null,
    at timestamptz not null default tminus.clock(),
    script_id uuid not null,
    launch_id uuid,
    principal text not null,
    detail jsonb not null default '{}',
    letter_id uuid,
    unique (contact_id, source)
);
create index outbox_waiting on tminus.outbox (contact_id, id) where letter_id is null;
create index outbox_by_letter on tminus.outbox (letter_id) where letter_id is not null;

-- For raise_news: whether a launch that is not finished has failed somewhere.
create index site_runs_gone_wrong on tminus.site_runs (launch_id) where state in ('failed', 'unknown');

-- Put one piece of news before everyone whom it concerns: those in `notify` and, where `p_author`, the author. Who did it
-- himself knows. Returns for how many contacts.
create function tminus.queue_news(p_news text, p_author boolean, p_source text, p_script uuid, p_launch uuid, p_principal text, p_detail jsonb) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    queued integer;
begin
    insert into tminus.outbox (contact_id, source, news, script_id, launch_id, principal, detail)
    select c.id, p_source, p_news, p_script, p_launch, p_principal,
        (select coalesce(jsonb_object_agg(key, left(value, 500)), '{}') from jsonb_each_text(p_detail)
         where key in ('digest', 'reason', 'was', 'wave', 'waves', 'due_at', 'note', 'sites') and value is not null)
    from tminus.scheduled_scripts s
    join tminus.contacts c on c.person = any (s.notify || case when p_author then array[s.created_by] else '{}' end)
    where s.id = p_script and c.enabled and c.person <> p_principal and (c.news is null or p_news = any (c.news))
    order by c.id
    limit 1000
    on conflict (contact_id, source) do nothing;
    get diagnostics queued = row_count;
    if queued > 0 then
        perform pg_notify('tminus', 'news');
    end if;
    return queued;
end $$;

create function tminus.tell_event() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    told tminus.news_kinds;
begin
    select * into told from tminus.news_kinds k where k.event_kind = new.kind;
    if not found
        -- A launch that was missed is told as that.
        or new.kind = 'cancelled' and new.principal = 'tminus' and new.detail ->> 'reason' in ('missed', 'not_authorized')
        -- Who asked for a rehearsal or a test looks at it.
        or new.kind = 'launch_finished' and exists (select from tminus.launches l where l.id = new.launch_id and l.kind in ('rehearsal', 'test')) then
        return null;
    end if;
    perform tminus.queue_news(told.news, told.tells_author, 'event ' || new.id, new.script_id, new.launch_id, new.principal, new.detail);
    return null;
end $$;
-- Not for what is recorded of each site.
create trigger tell after insert on tminus.events for each row
    when (new.script_id is not null and new.site_id is null)
    execute function tminus.tell_event();

-- News that is no event: what is launched within `p_before` (null: not told), and that sites of a launch have failed while it
-- runs; once each. Returns how much was queued. One caller at a time; to the others there is nothing to do.
create function tminus.raise_news(p_before interval) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    queued integer := 0;
    r record;
begin
    if not exists (select from tminus.contacts c where c.enabled) or not tminus.take_duty('raise_news') then
        return 0;
    end if;
    for r in
        select s.id, s.launch_at from tminus.scheduled_scripts s
        where s.status = 'scheduled' and s.launch_at > tminus.clock() and s.launch_at <= tminus.clock() + p_before
    loop
        queued := queued + tminus.queue_news('about_to_launch', false, 'script ' || r.id || ' at ' || tminus.api_time(r.launch_at), r.id, null, 'tminus',
            jsonb_build_object('due_at', tminus.api_time(r.launch_at)));
    end loop;
    for r in
        select l.id, l.script_id from tminus.launches l
        where l.finished_at is null and l.kind not in ('rehearsal', 'test')
            and exists (select from tminus.site_runs g where g.launch_id = l.id and g.state in ('failed', 'unknown'))
    loop
        queued := queued + tminus.queue_news('sites_failed', true, 'launch ' || r.id || ' sites_failed', r.script_id, r.id, 'tminus', '{}');
    end loop;
    return queued;
end $$;

-- Make letters of what waits in the outbox and is due, and give up those that could not be delivered within `p_within`.
-- One caller at a time; to the others there is nothing to do. `given_up` are those that failed just now.
create function tminus.gather_letters(p_within interval, out made integer, out given_up integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    made := 0;
    given_up := 0;
    if not tminus.take_duty('gather_letters') then
        return;
    end if;
    with due as materialized (
        select o.id, o.contact_id, c.enabled,
            case when c.digest_every is null then o.id else (row_number() over (partition by o.contact_id order by o.id) - 1) / 200 end as part,
            c.digest_every is null as alone
        from tminus.contacts c
        join tminus.outbox o on o.contact_id = c.id and o.letter_id is null
        where not c.enabled or c.digest_every is null
            or exists (select from tminus.outbox f where f.contact_id = c.id and f.letter_id is null and f.at <= tminus.clock() - c.digest_every)
        order by o.id
        limit 2000
    ), parts as materialized (
        select d.contact_id, d.alone, d.part, d.enabled, gen_random_uuid() as letter_id from (select distinct contact_id, alone, part, enabled from due) d
    ), written as (
        insert into tminus.letters (id, contact_id, state, ended_at)
        select p.letter_id, p.contact_id, case when p.enabled then 'pending' else 'dropped' end, case when not p.enabled then tminus.clock() end from parts p
    )
    update tminus.outbox u set letter_id = p.letter_id
    from due d join parts p using (contact_id, alone, part)
    where u.id = d.id and u.letter_id is null;
    get diagnostics made = row_count;
    update tminus.letters l
    set state = 'dropped', ended_at = tminus.clock()
    from tminus.contacts c
    where l.state = 'pending' and c.id = l.contact_id and not c.enabled;
    update tminus.letters l
    set state = 'failed', ended_at = tminus.clock(),
        last_error = coalesce(l.last_error, 'No daemon has this channel in its configuration.')
    where l.state = 'pending' and l.made_at < tminus.clock() - p_within;
    get diagnostics given_up = row_count;
end $$;

-- Letters that ended more than `p_keep` ago, with the news in them, a window at a time; and news whose letter is not yet
-- made is never old. Returns how many letters.
create function tminus.forget_letters(p_keep interval, p_window integer) returns integer
language sql security definer set search_path = pg_catalog, pg_temp
as $$
    with over as materialized (
        select l.id from tminus.letters l where l.ended_at < tminus.clock() - p_keep
            and not exists (select from tminus.outbox o join tminus.launches x on x.id = o.launch_id where o.letter_id = l.id and x.finished_at is null)
        limit p_window for update of l skip locked
    ), news as (
        delete from tminus.outbox o using over where o.letter_id = over.id
    ), gone as (
        delete from tminus.letters l using over where l.id = over.id returning l.id
    )
    select count(*)::integer from gone
$$;

-- Addresses are for those who keep them; how far a letter has come is for everyone.
grant select on tminus.contacts to tminus_gateway, tminus_daemon;
grant select on tminus.outbox, tminus.letters, tminus.news_kinds to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant insert (person, channel, address, news, digest_every, enabled), update (news, digest_every, enabled) on tminus.contacts to tminus_gateway;
grant update (state, attempts, next_try_at, last_error, ended_at) on tminus.letters to tminus_daemon;
grant execute on function tminus.raise_news(interval), tminus.gather_letters(interval), tminus.forget_letters(interval, integer) to tminus_daemon;

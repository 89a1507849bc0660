-- Whether others are dead can be told only by who has been heard of itself without a gap. Where the database stood still, all
-- heartbeats are old when it goes on: whoever got through first declared the others dead, and a look that had waited in the
-- database declared dead even the instance that had asked for it.

-- Since when this instance has been heard of without a gap: from its registration on, at the earliest. The guard sets it.
alter table tminus.instances add column heard_since timestamptz not null default '-infinity';
alter table tminus.instances alter column heard_since set default tminus.clock();

create or replace function tminus.guard_instance() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if old.state in ('stopped', 'dead') then
        raise exception 'instance % is %; it cannot write any more', old.id, old.state
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    if old.state = 'draining' and new.state = 'alive' then
        raise exception 'instance % drains; it cannot go back', old.id using errcode = 'object_not_in_prerequisite_state';
    end if;
    if to_jsonb(new) - '{heartbeat_at,state,ended_at,settled_on}'::text[] is distinct from to_jsonb(old) - '{heartbeat_at,state,ended_at,settled_on}'::text[] then
        raise exception 'what instance % is never changes', old.id using errcode = 'check_violation';
    end if;
    -- A ttl is four heartbeats at least (the daemon's settings): where the gap of this one is less than three quarters of it, that of
    -- whoever beats in time is less than the whole. A clock that is set back makes nobody wait longer.
    if new.heartbeat_at > old.heartbeat_at + old.ttl * 0.75 then
        new.heard_since := new.heartbeat_at;
    elsif new.heartbeat_at < new.heard_since then
        new.heard_since := new.heartbeat_at;
    end if;
    return new;
end $$;

drop function tminus.reap();

-- Declare dead whoever has not been heard of for its ttl, and settle what it, or an instance that stopped, left behind:
-- site runs before their point of no return are pending again; those past it lose their owner and wait to be resolved.
-- An instance that is about to commit a start, and a run that is about to be written, are left to the next call.
-- p_instance asks: nothing is done for one that is not alive, and after a gap of its own each other has its ttl to be heard of.
create or replace function tminus.reap(p_instance uuid default null, out dead integer, out released integer, out orphaned integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    gone uuid[];
    me tminus.instances;
begin
    select * into me from tminus.instances i
    where i.id = p_instance and i.state in ('alive', 'draining') and i.heartbeat_at + i.ttl > tminus.clock();
    if p_instance is not null and me.id is null then
        dead := 0;
        released := 0;
        orphaned := 0;
        return;
    end if;
    with died as (
        update tminus.instances i
        set state = 'dead', ended_at = tminus.clock()
        where i.id in (
            select q.id from tminus.instances q
            where q.state in ('alive', 'draining') and q.heartbeat_at + q.ttl < tminus.clock()
                and (p_instance is null or me.heard_since + q.ttl <= tminus.clock())
            for update skip locked)
        returning i.id, i.name
    ), told as (
        insert into tminus.events (kind, principal, detail) select 'instance_dead', died.name, jsonb_build_object('instance', died.id) from died
    )
    select array_agg(d.id) into gone from died d;
    dead := coalesce(cardinality(gone), 0);
    if dead > 0 then
        perform tminus.note_crashes(gone);
    end if;
    select a.released, a.orphaned into released, orphaned
    from tminus.abandon(array(
        select r.id
        from tminus.site_runs r
        join tminus.instances i on i.id = r.instance_id
        where i.state in ('stopped', 'dead') and r.finished_at is null and r.state = 'running'
        for no key update of r skip locked)) a;
    if exists (select from tminus.set_aside where readmitted_at is null) then
        perform tminus.end_set_aside();
    end if;
end $$;
grant execute on function tminus.reap(uuid) to tminus_daemon;

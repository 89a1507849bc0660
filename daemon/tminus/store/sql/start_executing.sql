-- THE POINT OF NO RETURN. Returns the ids that may be started, once this is committed.
-- $1: instance; per run $2: id, $3: nonce, $4: uptime of the router in seconds before it; $5 to $10: the exports that are
-- stored with it, see tminus.store_backups. Their texts were stored before in this transaction.
-- An id that is missing: the run is not ours any more, its launch was cancelled, halted or paused (or somebody is about to), all is held back, its site
-- is frozen, its stop_starting_at over or its authorization expired, it was started
-- before the database was set back, or this instance cannot prove that it lives. Nothing may be sent for it.
with living as materialized (
    -- Held until the commit: meanwhile nobody can declare this instance dead (tminus.reap takes FOR UPDATE).
    select i.id
    from tminus.instances i
    where i.id = $1 and i.state in ('alive', 'draining') and i.heartbeat_at + i.ttl > tminus.clock()
    for key share
), allowed as materialized (
    -- Held until the commit: who cancels, halts or pauses a launch takes FOR UPDATE, and so comes before this start or after
    -- it. One who holds it now is not waited for; the run is given back.
    select l.id
    from tminus.launches l
    where l.id = any (array(select o.launch_id from unnest($2::bigint[]) as n (id) join tminus.site_runs o on o.id = n.id))
        and l.state = 'running' and l.paused_at is null and coalesce(l.stop_starting_at > tminus.clock(), true)
        and coalesce(l.authorization_expires_at > tminus.clock(), true)
    for key share skip locked
), stored as materialized (
    -- Of what is ours, and no other: an instance that sleeps through its death must not replace what its successor stored.
    select tminus.store_backups(array_agg(b.run), array_agg(b.phase), array_agg(b.sha256), array_agg(b.header), array_agg(b.size),
        array_agg(b.sensitive))
    from unnest($5::bigint[], $6::text[], $7::bytea[], $8::text[], $9::integer[], $10::bigint[]) as b (run, phase, sha256, header, size, sensitive)
    join tminus.site_runs o on o.id = b.run and o.instance_id = $1 and o.state = (select 'running') and o.executing_at is null
    where exists (select from living)
)
update tminus.site_runs r
set step = 'executing', executing_at = tminus.clock(), retry_reason = null, message = null, nonce = n.nonce, uptime_before = make_interval(secs => n.uptime)
from unnest($2::bigint[], $3::text[], $4::double precision[]) as n (id, nonce, uptime)
where r.id = n.id and r.instance_id is not distinct from $1 and r.state = (select 'running') and r.executing_at is null
    and not r.rehearsal
    and exists (select from allowed a where a.id = r.launch_id offset 0)
    and exists (select from living) and exists (select from stored)
    and not (select tminus.is_held_back())
    and (not (select exists (select from tminus.freezes f where f.until > tminus.clock())) or not tminus.is_frozen(r.site_id))
    and not exists (select from tminus.lost_starts x where x.launch_id = r.launch_id and x.site_id = r.site_id offset 0)
returning r.id, r.nonce, r.launch_id, r.site_id, r.executing_at

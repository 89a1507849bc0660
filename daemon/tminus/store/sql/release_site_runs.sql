-- Give runs back before their point of no return; returns the ids that were given back. $1: instance; per run $2: id,
-- $3: seconds until it may be tried again, $4: retry reason or null, $5: its message or null.
-- An id that is missing: the run is not ours any more, or has started; it is left alone.
update tminus.site_runs r
set state = 'pending', step = null, instance_id = null, not_before = tminus.clock() + make_interval(secs => n.wait),
    -- Without a reason nothing was tried: the daemon drains, or it was not this site's turn. What was met there before stays,
    -- since it is what to say where the run is not tried again.
    retry_reason = coalesce(n.reason, r.retry_reason), message = case when n.reason is null then r.message else n.message end, attempts = r.attempts - (n.reason is null)::integer
from unnest($2::bigint[], $3::double precision[], $4::text[], $5::text[]) as n (id, wait, reason, message)
where r.id = n.id and r.instance_id is not distinct from $1 and r.state = (select 'running') and r.executing_at is null
    and exists (select from tminus.instances i where i.id = $1 and i.state in ('alive', 'draining'))
returning r.id

-- The site run of scheduled script $1 on site $2 in the launch that is under way, else in the latest that has one; but, where
-- $3, first of all the latest that is unknown and that nobody resolved. No row: it was never launched there.
select
    r.id, l.script_id, r.launch_id, l.kind, l.state as launch_state, l.description, l.due_at, r.site_id, s.address, s.identity, s.model,
    s.version, s.last_seen_at, r.state, r.step, r.reason, r.effect, r.warnings, r.output, r.diff, r.evidence, r.resolved_state,
    r.resolved_effect, r.resolved_at, r.resolved_by, r.resolution, r.attempts, r.retry_reason, r.not_before, r.instance_id, r.nonce, coalesce(r.started_under, r.launch_id) as started_under,
    r.uptime_before, r.started_at, r.executing_at, r.finished_at,
    case when r.state = 'pending' then coalesce('Waits: ' || coalesce(tminus.why_unserved(s), case when r.rehearsal then tminus.missed_for_rehearsal(r.site_id, l.site_timeout) || ' on this site' else tminus.why_closed(s.tags, l.windows, tminus.clock()) end) || '.', r.message) else r.message end as message,
    extract(epoch from coalesce(r.finished_at, tminus.clock()) - r.started_at)::double precision as seconds
from tminus.launches l
join tminus.site_runs r on r.launch_id = l.id and r.site_id = $2
join tminus.sites s on s.id = r.site_id
where l.script_id = $1
order by $3::boolean and r.state = 'unknown' and r.resolved_at is null desc, l.finished_at is null desc, l.due_at desc
limit 1

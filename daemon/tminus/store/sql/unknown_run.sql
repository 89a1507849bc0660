-- What a person has to see to resolve the latest unresolved site run of scheduled script $1 on site $2, or, if there is
-- none, the latest at all. No row: it was never launched there.
select
    r.id, l.script_id, r.launch_id, l.kind, l.description, l.due_at, r.site_id, s.address, s.identity, s.model, s.version, s.last_seen_at,
    r.state, r.reason, r.effect, r.message, r.warnings, r.evidence, r.output, r.diff, r.nonce, r.uptime_before, r.started_at, r.executing_at,
    r.finished_at, r.resolved_state, r.resolved_effect, r.resolved_at, r.resolved_by, r.resolution
from tminus.launches l
join tminus.site_runs r on r.launch_id = l.id and r.site_id = $2
join tminus.sites s on s.id = r.site_id
where l.script_id = $1
order by r.state = 'unknown' and r.resolved_at is null desc, r.id desc
limit 1

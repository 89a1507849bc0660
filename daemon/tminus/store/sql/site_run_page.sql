-- Site run $1 with the first $2 characters of its texts and how long they are. No row: there is none.
select r.id, r.launch_id, l.script_id, l.kind, l.description, l.due_at, l.make_backup, r.site_id, s.name, s.address, s.identity, s.model, s.version, r.wave, r.state, r.outcome, r.step, r.reason,
    r.effect, r.warnings, r.attempts, r.retry_reason, r.not_before, r.started_at, r.executing_at, r.finished_at, r.resolved_state, r.resolved_at, r.resolved_by,
    r.resolution, r.evidence, left(r.output, $2) as output, length(r.output) as output_length, left(r.diff, $2) as diff, length(r.diff) as diff_length,
    case when r.state = 'pending' then coalesce('Waits: ' || coalesce(tminus.why_unserved(s), case when r.rehearsal then tminus.missed_for_rehearsal(r.site_id, l.site_timeout) || ' on this site' else tminus.why_closed(s.tags, l.windows, tminus.clock()) end) || '.', r.message) else r.message end as message,
    extract(epoch from coalesce(r.finished_at, tminus.clock()) - r.started_at)::double precision as seconds
from tminus.site_runs r
join tminus.launches l on l.id = r.launch_id
join tminus.sites s on s.id = r.site_id
where r.id = $1

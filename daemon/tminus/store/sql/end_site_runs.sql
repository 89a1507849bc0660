-- Write endings; returns the ids that were ours to end. $1: instance; per run $2: id, $3: state, $4: reason, $5: effect,
-- $6: message, $7: output, $8: warnings (a JSON array of texts), $9: diff.
-- An id that is missing: another instance owns the run, or it has ended. Its evidence goes to tminus.keep_late_evidence.
update tminus.site_runs r
set state = n.state, reason = n.reason, effect = n.effect, message = n.message, output = n.output,
    warnings = array(select jsonb_array_elements_text(n.warnings::jsonb)), diff = n.diff, step = null, finished_at = tminus.clock()
from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
    as n (id, state, reason, effect, message, output, warnings, diff)
where r.id = n.id and r.instance_id = $1 and r.state = 'running'
returning r.id

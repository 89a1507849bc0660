-- Write endings; returns the ids that were ours to end. $1: instance; per run $2: id, $3: state, $4: reason, $5: effect,
-- $6: message, $7: output, $8: warnings (a JSON array of texts), $9: diff, $10: evidence.
-- An id that is missing: another instance owns the run, this one was declared dead, or the run has ended: see ended_already.sql.
with ending as (
    select * from unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
        $10::text[])
        as e (id, state, reason, effect, message, output, warnings, diff, evidence)
)
update tminus.site_runs r
set state = n.state, reason = n.reason, effect = n.effect, message = n.message, output = n.output,
    warnings = array(select jsonb_array_elements_text(n.warnings::jsonb)), diff = n.diff, evidence = n.evidence, step = null, finished_at = tminus.clock()
from ending n
where r.id = n.id and r.instance_id is not distinct from $1 and r.state = (select 'running')
    and exists (select from tminus.instances i where i.id = $1 and i.state in ('alive', 'draining'))
returning r.id

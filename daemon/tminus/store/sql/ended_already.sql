-- Which of the endings that could not be written had been written before, word for word: whoever said them lost the answer.
-- $1: instance; per run $2: id, $3: state, $4: reason. Of an id that is missing the evidence goes to tminus.keep_late_evidence.
with held as materialized (
    -- Who says it meanwhile is waited for, and what is seen then is what that one wrote.
    select r.id, r.state, r.reason, r.finished_at
    from tminus.site_runs r
    where r.id = any ($2::bigint[]) and r.instance_id = $1
    order by r.id
    for share
)
select h.id
from held h
join unnest($2::bigint[], $3::text[], $4::text[]) as n (id, state, reason)
    on n.id = h.id and n.state = h.state and n.reason is not distinct from h.reason
where h.finished_at is not null

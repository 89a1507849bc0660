-- Which of the endings that could not be written had been written before, with the same state and reason: whoever said them
-- lost the answer.
-- $1: instance; per run $2: id, $3: state, $4: reason. Of an id that is missing the evidence goes to tminus.keep_late_evidence.
with known as materialized (
    select r.id, r.state, r.reason, r.finished_at
    from tminus.site_runs r
    where r.id = any ($2::bigint[]) and r.instance_id = $1
), held as materialized (
    -- Who says it meanwhile is waited for, and what is seen then is what that one wrote. Not so for what had ended, which stays as it is:
    -- a person who resolves it may hold it for as long as their transaction is open.
    select r.id, r.state, r.reason, r.finished_at
    from tminus.site_runs r
    where r.id = any (array(select k.id from known k where k.finished_at is null)) and r.instance_id = $1
    order by r.id
    for share
)
select h.id
from (select * from known where finished_at is not null union all select * from held) h
join unnest($2::bigint[], $3::text[], $4::text[]) as n (id, state, reason)
    on n.id = h.id and n.state = h.state and n.reason is not distinct from h.reason
where h.finished_at is not null

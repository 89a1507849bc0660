-- Write the steps of running site runs of instance $1. $2: ids, $3: steps. Before the point of no return any but
-- verifying, after it that one alone (executing is written by start_executing). A run that is not ours is left alone.
-- The conditions are written so that no other index than the primary key serves them, here and in its sisters: the planner,
-- which cannot know how many runs are running at this moment, would else read them all for a batch of two.
update tminus.site_runs r
set step = n.step,
    -- It was reached: what kept it from that before is over.
    retry_reason = case when n.step = 'connecting' then r.retry_reason end, message = case when n.step = 'connecting' then r.message end
from unnest($2::bigint[], $3::text[]) as n (id, step)
where r.id = n.id and r.instance_id is not distinct from $1 and r.state = (select 'running') and (r.executing_at is not null) = (n.step = 'verifying')
    and exists (select from tminus.instances i where i.id = $1 and i.state in ('alive', 'draining'))

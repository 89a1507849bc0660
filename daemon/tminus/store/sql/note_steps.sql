-- Write the steps of running site runs of instance $1. $2: ids, $3: steps. Before the point of no return any but
-- verifying, after it that one alone (executing is written by start_executing). A run that is not ours is left alone.
update tminus.site_runs r
set step = n.step
from unnest($2::bigint[], $3::text[]) as n (id, step)
where r.id = n.id and r.instance_id = $1 and r.state = 'running' and (r.executing_at is not null) = (n.step = 'verifying')

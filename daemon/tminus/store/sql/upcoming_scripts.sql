-- The next $1 scheduled scripts that have no launch yet or have another one ahead, authorized or not. Each status by its own index.
select
    s.id, s.description, s.status, s.status_reason, s.created_by, s.authorized_by, s.launch_at, s.cron, s.timezone, cardinality(s.sites) as sites,
    tminus.t_minus(s.launch_at) as t_minus
from (
    (select i.id from tminus.scheduled_scripts i where i.status = 'scheduled' order by i.launch_at limit $1)
    union all
    (select i.id from tminus.scheduled_scripts i where i.status = 'unauthorized' order by i.launch_at limit $1)
) next
join tminus.scheduled_scripts s on s.id = next.id
order by s.launch_at, s.id
limit $1

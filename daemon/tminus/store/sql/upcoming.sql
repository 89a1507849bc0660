-- The next $1 scheduled scripts that are to be launched, see tminus.upcoming. Each status by its own index. No row: nothing is to come.
select u.*, case when s.max_launches is not null then s.max_launches - (
    select count(*) from tminus.launches l where l.script_id = s.id and l.kind = 'scheduled' and l.state <> 'missed') end as launches_left
from (
    (select i.id from tminus.scheduled_scripts i where i.status = 'scheduled' order by i.launch_at limit $1)
    union all
    (select i.id from tminus.scheduled_scripts i where i.status = 'unauthorized' order by i.launch_at limit $1)
) next
join tminus.upcoming u on u.script_id = next.id
join tminus.scheduled_scripts s on s.id = next.id
order by u.launch_at, u.script_id
limit $1

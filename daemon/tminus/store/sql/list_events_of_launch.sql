-- Events of launch $3 before event $1 (null: all), newest first; $2 rows at most.
select e.id, tminus.api_time(e.at) as at, e.kind, e.script_id, e.launch_id, e.site_id, e.principal, e.session, e.detail
from tminus.events e
-- Written as a range of the index over both, which alone has this order: the planner, who knows not how rare an id is, would
-- rather walk through all events.
where e.launch_id is not null and (e.launch_id, e.id) < ($3::uuid, coalesce($1::bigint, 9223372036854775807)) and (e.launch_id, e.id) >= ($3, 0)
order by e.launch_id desc, e.id desc
limit $2

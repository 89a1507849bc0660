-- Events before event $1 (null: all), newest first; $2 rows at most.
select e.id, tminus.api_time(e.at) as at, e.kind, e.script_id, e.launch_id, e.site_id, e.principal, e.session, e.detail
from tminus.events e
where e.id < coalesce($1::bigint, 9223372036854775807)
order by e.id desc
limit $2

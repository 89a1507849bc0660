-- Events, newest first: those of scheduled script $1 and launch $2 (null: all) before event $3; $4 rows at most.
select e.id, tminus.api_time(e.at) as at, e.kind, e.script_id, e.launch_id, e.site_id, e.principal, e.session, e.detail
from tminus.events e
where ($1::uuid is null or e.script_id = $1) and ($2::uuid is null or e.launch_id = $2)
    and e.id < coalesce($3::bigint, 9223372036854775807)
order by e.id desc
limit $4

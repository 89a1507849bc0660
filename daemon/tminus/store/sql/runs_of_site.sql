-- Site runs of site $1 before site run $2 (null: all), newest first; $3 rows at most.
select r.id, r.launch_id, l.kind, l.description, l.due_at, r.outcome, r.step, r.reason, r.finished_at
from tminus.site_runs r
join tminus.launches l on l.id = r.launch_id
where r.site_id = $1 and r.id < coalesce($2::bigint, 9223372036854775807)
order by r.id desc
limit $3

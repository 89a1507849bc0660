-- Site runs of launch $1 as the API shows them, in their order: those of outcome $2 (null: all), after position $3; $4 rows at most.
select r.position, tminus.site_run_for_api(r)::text as document
from tminus.site_runs r
where r.launch_id = $1 and ($2::text is null or r.outcome = $2) and r.position > coalesce($3::integer, -1)
order by r.position
limit $4

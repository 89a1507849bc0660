-- Launches of scheduled script $1 as the API shows them, latest first, those that come after ($2, $3); $4 rows at most.
select l.id, l.due_at, tminus.launch_for_api(l)::text as document
from tminus.launches l
where l.script_id = $1
    and (l.due_at, l.id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
order by l.due_at desc, l.id desc
limit $4

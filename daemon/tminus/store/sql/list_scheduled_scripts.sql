-- Scheduled scripts as the API shows them, newest first, those of status $1 (null: all) that come after ($2, $3); $4 rows at most.
select s.id, s.created_at, tminus.scheduled_script(s.id)::text as document
from (
    select q.id, q.created_at
    from tminus.scheduled_scripts q
    where ($1::text is null or q.status = $1)
        and (q.created_at, q.id) < (coalesce($2::timestamptz, 'infinity'), coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    order by q.created_at desc, q.id desc
    limit $4
) s
order by s.created_at desc, s.id desc

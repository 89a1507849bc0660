-- Launches, latest first, that come after ($7, $8): of scripts whose description contains $1, on site $2, in state $3, submitted or authorized by $4,
-- due from $5 to $6, of scheduled script $10, each where it is not null; $9 rows at most.
select l.id, l.script_id, l.kind, l.state, l.reason, l.description, l.due_at, l.started_at, l.finished_at, l.created_by, l.authorized_by,
    coalesce(nullif(c.sites, 0), cardinality(l.sites)) as sites, c.completed, c.failed, c.skipped, c.unknown, c.running, c.pending
from (
    select q.* from tminus.launches q
    where ($1::text is null or strpos(lower(q.description), lower($1)) > 0)
        and ($2::text is null or exists (select from tminus.site_runs r where r.launch_id = q.id and r.site_id = $2))
        and ($3::text is null or q.state = $3)
        and ($4::text is null or $4 in (q.created_by, q.authorized_by))
        and q.due_at >= coalesce($5::timestamptz, '-infinity') and q.due_at < coalesce($6::timestamptz, 'infinity')
        and (q.due_at, q.id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
        and ($10::uuid is null or q.script_id = $10)
    order by q.due_at desc, q.id desc
    limit $9
) l
cross join lateral (
    select count(*) as sites, count(*) filter (where r.outcome = 'completed') as completed, count(*) filter (where r.outcome = 'failed') as failed,
        count(*) filter (where r.outcome = 'skipped') as skipped, count(*) filter (where r.outcome = 'unknown') as unknown,
        count(*) filter (where r.outcome = 'running') as running, count(*) filter (where r.outcome = 'pending') as pending
    from tminus.site_runs r
    where r.launch_id = l.id
) c
order by l.due_at desc, l.id desc

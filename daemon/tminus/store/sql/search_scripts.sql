-- Scheduled scripts, newest first, that come after ($7, $8): whose description contains $1, on site $2, of status $3, submitted, edited, authorized or
-- cancelled by $4, made from $5 to $6, each where it is not null; $9 rows at most.
select s.id, s.description, s.status, s.status_reason, s.created_by, s.created_at, s.authorized_by, s.launch_at, s.cron, s.timezone, cardinality(s.sites) as sites
from tminus.scheduled_scripts s
where ($1::text is null or strpos(lower(s.description), lower($1)) > 0)
    and ($2::text is null or $2 = any (s.sites))
    and ($3::text is null or s.status = $3)
    and ($4::text is null or $4 in (s.created_by, s.updated_by, s.authorized_by, s.cancelled_by))
    and s.created_at >= coalesce($5::timestamptz, '-infinity') and s.created_at < coalesce($6::timestamptz, 'infinity')
    and (s.created_at, s.id) < (coalesce($7::timestamptz, 'infinity'), coalesce($8::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
order by s.created_at desc, s.id desc
limit $9

-- Backups, newest first: of site $1 and of site run $2, where those are not null. At most $3.
select b.id, b.site_id, b.phase, b.taken_at, b.sha256, b.header, b.raw_bytes, b.launch_id, b.site_run_id, b.sensitive, l.script_id
from tminus.backups b
join tminus.launches l on l.id = b.launch_id
where ($1::text is null or b.site_id = $1) and ($2::bigint is null or b.site_run_id = $2)
order by b.taken_at desc, b.id desc
limit $3

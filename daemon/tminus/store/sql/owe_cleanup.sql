-- Files that could not be removed from a router. Per debt $1: site run, $2: file name.
insert into tminus.cleanup_debts (site_id, site_run_id, file_name, next_try_at)
select r.site_id, r.id, n.file_name, tminus.clock() + interval '1 minute'
from unnest($1::bigint[], $2::text[]) as n (site_run_id, file_name)
join tminus.site_runs r on r.id = n.site_run_id
on conflict (site_run_id, file_name) do nothing

-- Endings of running sites keep their launches going: see launches.start_until. $1: ids of ended site runs.
update tminus.launches l
set start_until = tminus.clock() + l.start_within
where l.finished_at is null and l.id in (select r.launch_id from tminus.site_runs r where r.id = any ($1::bigint[]))

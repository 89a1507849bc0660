-- Keep routers busy whose script may still be running. Per run $1: id, $2: seconds until somebody looks, $3: why. Said twice it
-- changes nothing.
insert into tminus.busy_sites (site_run_id, site_id, look_at, seen)
select r.id, r.site_id, tminus.clock() + make_interval(secs => n.seconds), n.why
from unnest($1::bigint[], $2::double precision[], $3::text[]) as n (id, seconds, why)
join tminus.site_runs r on r.id = n.id
on conflict (site_run_id) do nothing

-- Seconds until the next authorized launch, null if there is none. Saves waiting for the next poll; never relied on.
select extract(epoch from s.launch_at - tminus.clock())::double precision
from tminus.scheduled_scripts s
where s.status = 'scheduled' and s.launch_at is not null
order by s.launch_at
limit 1

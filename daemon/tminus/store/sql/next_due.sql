-- Seconds until the next authorized launch, null if there is none. Saves waiting for the next poll; never relied on.
-- What is due already but was left over (somebody holds it, or it is too late) waits for the poll.
select extract(epoch from s.launch_at - tminus.clock())::double precision
from tminus.scheduled_scripts s
where s.status = 'scheduled' and s.launch_at > tminus.clock()
order by s.launch_at
limit 1

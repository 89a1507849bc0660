-- Rehearsal or test $1 at this moment. `instances` is how many daemons are alive. No row: there is no such launch.
select l.finished_at, (select count(*) from tminus.instances i where tminus.is_alive(i)) as instances, c.sites, c.ready
from tminus.launches l
-- Launch by launch: not those of all launches, of which these are then found.
cross join lateral (select * from tminus.launch_counts c where c.launch_id = l.id offset 0) c
where l.id = $1

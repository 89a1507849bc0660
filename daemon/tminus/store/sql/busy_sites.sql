-- Routers on which a script may still be running although its run has ended, the longest first. No other launch starts there.
select b.site_id, s.name as site_name, b.since, b.seen, b.look_at, l.script_id, b.site_run_id, tminus.clock() as now
from tminus.busy_sites b
join tminus.site_runs r on r.id = b.site_run_id
join tminus.launches l on l.id = r.launch_id
join tminus.sites s on s.id = b.site_id
where b.free_at is null
order by b.since, b.site_run_id

-- Of runs ($2) that start_executing left out, those that are still ours ($1) and may not be started (any more, or now):
-- their launch was cancelled or halted, all is paused, their site is frozen (or was, until just now), their stop_starting_at is over, or (`is_unsettled`) an
-- instance has yet to look at this server.
select r.id, l.state = 'running' as is_held,
    l.state = 'running' and (select tminus.is_held_back() and not tminus.is_paused()) as is_unsettled
from tminus.site_runs r
join tminus.launches l on l.id = r.launch_id
where r.id = any ($2::bigint[]) and r.instance_id = $1 and r.state = 'running'
    and (l.state <> 'running' or l.stop_starting_at <= tminus.clock() or (select tminus.is_held_back()) or tminus.is_frozen(r.site_id, interval '1 minute'))

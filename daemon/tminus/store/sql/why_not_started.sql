-- Of runs ($2) that start_executing left out, those that are still ours ($1) and may not be started (any more, or now):
-- their launch was cancelled or halted (`launch_state`); or is_held: somebody has paused it or has it in hand, all is paused,
-- their site is frozen (or was, until just now), their stop_starting_at is over, their authorization expired, or (`is_unsettled`) an instance has yet to look
-- at this server.
-- No row for a run of ours: this instance cannot prove that it lives, or it was started before the database was set back.
select r.id, l.state as launch_state, l.state = 'running' as is_held,
    l.state = 'running' and l.paused_at is null and (select not tminus.is_paused() and tminus.is_unsettled()) as is_unsettled
from tminus.site_runs r
join tminus.launches l on l.id = r.launch_id
where r.id = any ($2::bigint[]) and r.instance_id = $1 and r.state = 'running' and r.executing_at is null
    and (l.state <> 'running' or (select tminus.is_held_back()) or l.paused_at is not null or l.stop_starting_at <= tminus.clock()
        or l.authorization_expires_at <= tminus.clock()
        or tminus.is_frozen(r.site_id, interval '1 minute')
        or exists (select from tminus.instances i where i.id = $1 and i.state in ('alive', 'draining') and i.heartbeat_at + i.ttl > tminus.clock())
            and not exists (select from tminus.lost_starts x where x.launch_id = r.launch_id and x.site_id = r.site_id))

-- Take over up to $2 runs whose instance died past their point of no return, for instance $1. No row: there is none.
select
    r.id, r.launch_id, r.site_digest, r.attempts, r.turn_at, r.nonce, r.uptime_before, r.executing_at,
    s.id as site_id, s.address, s.port, s.username, s.credential, s.host_key, s.seen_host_key, s.ssh_profile, s.jump_host, s.enabled, s.serial,
    tminus.clock() as now
from tminus.claim_orphans($1, $2) as claimed (id)
join tminus.site_runs r on r.id = claimed.id
join tminus.sites s on s.id = r.site_id

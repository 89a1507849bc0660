-- Claim up to $2 pending site runs for instance $1 and return all that running one needs, but the script.
-- No row: see tminus.claim_site_runs. (This statement sees the rows as they were before the claim, hence attempts + 1.)
select
    r.id, r.launch_id, r.site_digest, r.attempts + 1 as attempts, coalesce(r.turn_at, tminus.clock()) as turn_at,
    s.id as site_id, s.address, s.port, s.username, s.credential, s.host_key, s.seen_host_key, s.ssh_profile, s.jump_host, s.enabled, s.serial,
    tminus.clock() as now
from tminus.claim_site_runs($1, $2) as claimed (id)
join tminus.site_runs r on r.id = claimed.id
join tminus.sites s on s.id = r.site_id

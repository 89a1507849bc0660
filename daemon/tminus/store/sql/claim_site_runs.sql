-- Claim up to $2 pending site runs for instance $1 and return all that running one needs, but the script. $3, $4: the jump
-- hosts that have a place for a site more, and how many.
-- No row: see tminus.claim_site_runs.
select
    (c.run).id, (c.run).launch_id, (c.run).site_digest, (c.run).attempts, (c.run).turn_at, (c.run).nonce,
    (c.site).id as site_id, (c.site).address, (c.site).port, (c.site).username, (c.site).credential, (c.site).host_key,
    (c.site).seen_host_key, (c.site).ssh_profile, (c.site).sensitive_export, (c.site).return_address, (c.site).jump_host, (c.site).runner, (c.site).enabled, (c.site).serial, (c.site).variables, tminus.clock() as now,
    (select b.raw_bytes from tminus.backups b where b.site_id = (c.site).id order by b.taken_at desc limit 1) as last_export
from tminus.claim_site_runs($1, $2, $3, $4) c

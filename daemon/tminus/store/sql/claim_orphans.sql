-- Take over up to $2 runs whose instance died past their point of no return, for instance $1. No row: there is none.
select
    (c.run).id, (c.run).launch_id, (c.run).site_digest, (c.run).nonce, coalesce((c.run).started_under, (c.run).launch_id) as started_under, (c.run).uptime_before, (c.run).executing_at,
    l.script, l.site_timeout, l.expects_disconnect, l.detached, l.variables as script_variables, l.post_checks,
    (c.site).id as site_id, (c.site).address, (c.site).port, (c.site).username, (c.site).credential, (c.site).host_key,
    (c.site).seen_host_key, (c.site).ssh_profile, (c.site).sensitive_export, (c.site).return_address, (c.site).jump_host, (c.site).runner, (c.site).enabled, (c.site).serial, (c.site).variables, tminus.clock() as now
from tminus.claim_orphans($1, $2) c
join tminus.launches l on l.id = (c.run).launch_id

-- Sites by id, those with tag $1, or all where it is null.
select
    id, name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags, timezone, enabled, sensitive_export, return_address,
    identity, model, serial, version, seen_host_key, last_seen_at
from tminus.sites
where $1::text is null or $1 = any (tags)
order by id

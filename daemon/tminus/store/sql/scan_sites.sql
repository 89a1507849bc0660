-- What a scan needs of sites: those of the ids $1, or with the tag $2, or (both null) all that are enabled. By id.
select
    id as site_id, address, port, username, credential, host_key, seen_host_key, ssh_profile, sensitive_export, return_address, jump_host, runner, enabled, serial,
    identity, model, version
from tminus.sites
where case when $1::text[] is not null then id = any ($1) when $2::text is not null then enabled and $2 = any (tags) else enabled end
order by id

-- The sites on which launch $1 (no retry) would be retried, as they are now, in their order: $2, or (null) those where that is safe.
-- An error, with a sentence, where there is none.
select
    t.id as site_id, t.address, t.port, t.username, t.credential, t.host_key, t.seen_host_key, t.ssh_profile, t.sensitive_export, t.return_address, t.jump_host, t.runner, t.enabled, t.serial,
    t.variables
from unnest(tminus.sites_to_retry($1, $2)) with ordinality as u (site_id, position)
join tminus.sites t on t.id = u.site_id
order by u.position

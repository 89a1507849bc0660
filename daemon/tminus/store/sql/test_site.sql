-- The test site of scheduled script $1, as it is now. No row: it has none.
select
    t.id as site_id, t.address, t.port, t.username, t.credential, t.host_key, t.seen_host_key, t.ssh_profile, t.sensitive_export, t.return_address, t.jump_host, t.runner, t.enabled, t.serial,
    t.variables
from tminus.scheduled_scripts s
join tminus.sites t on t.id = s.test_site_id
where s.id = $1

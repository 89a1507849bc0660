-- One process life. $1: id, $2: name, $3: host, $4: pid, $5: version, $6: max_sessions, $7: ttl in seconds; and which sites
-- it can serve: $8: runner tags, $9: names of credentials, $10: names of jump hosts.
-- $11: its intent log; $12: whether it launches only what is signed; $13: the sites on which it runs tests.
insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl, runner_tags, credentials, jump_hosts, memory, requires_signature, test_sites)
values ($1, $2, $3, $4, $5, $6, make_interval(secs => $7), $8, $9, $10, $11, $12, $13)

-- One process life. $1: id, $2: name, $3: host, $4: pid, $5: version, $6: max_sessions, $7: ttl in seconds.
insert into tminus.instances (id, name, host, pid, version, max_sessions, ttl)
values ($1, $2, $3, $4, $5, $6, make_interval(secs => $7))

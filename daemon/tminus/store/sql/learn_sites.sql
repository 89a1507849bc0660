-- Facts that routers told. Per site $1: id, $2: identity, $3: model, $4: serial, $5: version, $6: host key seen first.
-- A null leaves what is known.
update tminus.sites s
set identity = coalesce(n.identity, s.identity), model = coalesce(n.model, s.model), serial = coalesce(n.serial, s.serial),
    version = coalesce(n.version, s.version), seen_host_key = coalesce(s.seen_host_key, n.host_key), last_seen_at = tminus.clock()
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as n (id, identity, model, serial, version, host_key)
where s.id = n.id

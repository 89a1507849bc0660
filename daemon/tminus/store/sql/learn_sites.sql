-- Facts that routers told; returns the ids of the sites that were written.
-- Per site $1: id, $2: identity, $3: model, $4: serial, $5: version, $6: host key seen first. A null leaves what is known.
-- An id that is missing: somebody holds the site (an inventory tool in its transaction); to be written again later.
update tminus.sites s
set identity = coalesce(n.identity, s.identity), model = coalesce(n.model, s.model), serial = coalesce(n.serial, s.serial),
    version = coalesce(n.version, s.version), seen_host_key = coalesce(s.seen_host_key, n.host_key), last_seen_at = tminus.clock()
from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[]) as n (id, identity, model, serial, version, host_key)
join (select f.id from tminus.sites f where f.id = any ($1::text[]) for no key update skip locked) as free on free.id = n.id
where s.id = n.id
returning s.id

-- Sites whose id, name, address, identity or tags contain $1 (null: all), by id, after id $2; $3 rows at most.
select s.id, s.name, s.address, s.port, s.tags, s.timezone, s.enabled, s.identity, s.model, s.version, s.last_seen_at
from tminus.sites s
where ($1::text is null or strpos(lower(concat_ws(' ', s.id, s.name, s.address, s.identity, array_to_string(s.tags, ' '))), lower($1)) > 0)
    and s.id > coalesce($2::text, '')
order by s.id
limit $3

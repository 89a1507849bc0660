-- Store texts as what differs from others that are stored. Per text $1: its SHA-256; $2: that of the other one, of which it
-- has the first $3 and the last $4 characters, and $5 between them. Returns the SHA-256 of each that was stored.
-- One that is missing: somebody else has stored it meanwhile, or the other one is not there, or too many would have to be
-- read for this one. Then it has to be held, or stored as it is.
insert into tminus.backup_texts (sha256, base, head, tail, text, depth)
select n.sha256, b.sha256, n.head, n.tail, n.middle, b.depth + 1
from unnest($1::bytea[], $2::bytea[], $3::integer[], $4::integer[], $5::text[]) as n (sha256, base, head, tail, middle)
-- Each looked up by its key, in the order given: joined, the planner may read all that is stored.
cross join lateral (
    select t.sha256, t.depth from tminus.backup_texts t where t.sha256 = n.base and t.depth < 8 for key share
) b
on conflict do nothing
returning sha256

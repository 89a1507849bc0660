-- Store a text, whose SHA-256 is $1, as what differs from the one with SHA-256 $2: it has the first $3 and the last $4
-- characters of that, and $5 between them.
-- No row: somebody else has stored it meanwhile, or that one is not there, or too many would have to be read for this one.
-- Then it has to be held, or stored as it is.
insert into tminus.backup_texts (sha256, base, head, tail, text, depth)
select $1, b.sha256, $3, $4, $5, b.depth + 1
from tminus.backup_texts b
where b.sha256 = $2 and b.depth < 8
for key share
on conflict do nothing
returning sha256

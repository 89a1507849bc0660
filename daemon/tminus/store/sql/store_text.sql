-- Store text $2, whose SHA-256 is $1. No row: somebody else has stored it meanwhile; it has to be held.
insert into tminus.backup_texts (sha256, text) values ($1, $2) on conflict do nothing returning sha256

-- Store text $2, which has secrets and whose SHA-256 is $1. No row: somebody else has stored it meanwhile; it has to be held.
insert into tminus.sensitive_texts (sha256, text) values ($1, $2) on conflict (sha256) do nothing returning id, sha256

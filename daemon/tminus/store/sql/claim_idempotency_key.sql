-- Take key $2 of person $1 for the request with the hash $3; waits for another request that has it. No row: it was used.
insert into tminus.idempotency_keys (principal, key, request) values ($1, $2, $3)
on conflict do nothing
returning true

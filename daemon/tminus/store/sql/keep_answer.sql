-- Keep the answer to the request that claimed key $2 of person $1 in this transaction.
update tminus.idempotency_keys k set status = $3, location = $4, answer = $5 where k.principal = $1 and k.key = $2 and k.status is null

-- What was answered under key $2 of person $1. No row: it was forgotten meanwhile.
select k.request, k.status, k.location, k.answer from tminus.idempotency_keys k where k.principal = $1 and k.key = $2

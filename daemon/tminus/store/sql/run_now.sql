-- Have scheduled script $1 start now, as person $2 (null: the caller), for reason $3, as the launch $4, with the signature $5 that counts
-- until $6 (null: none). Returns the API's object.
select tminus.run_now($1, $2, $3, launch => $4, signature => $5, expires => $6)

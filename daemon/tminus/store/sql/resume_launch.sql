-- Let the paused launch of scheduled script $1 go on, as person $2 (null: the caller), with the signature $3 that counts until $4 (null: none).
-- One row: the API's object.
select tminus.resume_launch($1, $2, $3, $4)

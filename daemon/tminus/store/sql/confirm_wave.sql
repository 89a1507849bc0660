-- Let wave $2 of the launch of scheduled script $1 go, as person $3 (null: the caller), with the signature $4 that counts until $5 (null: none).
-- One row: the API's object.
select tminus.confirm_wave($1, $2, $3, $4, $5)

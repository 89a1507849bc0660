-- Test scheduled script $1 on its test site as person $2 (null: the caller), as the launch $3, with the signature $4 that counts until $5
-- (null: none). One row: the launch.
select tminus.request_test($1, $2, launch => $3, signature => $4, expires => $5)

-- Retry launch $1, on sites $2 (null: those that are safe to repeat), as person $3 (null: the caller), as the launch $4, with the signature $5
-- that counts until $6 (null: none). One row: the new launch.
select tminus.retry($1, sites => $2, by => $3, id => $4, signature => $5, expires => $6)

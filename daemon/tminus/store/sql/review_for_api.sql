-- What would be authorized of scheduled script $1, with the digest of exactly that, in JSON. Null if there is none.
select tminus.review($1)::text

-- The digest of scheduled script $1 as it is now. Null if there is none.
select tminus.digest($1)

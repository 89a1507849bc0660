-- Cancel scheduled script $1 as person $2 (null: the caller). One row: the API's object.
select tminus.cancel($1, $2)

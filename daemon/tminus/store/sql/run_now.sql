-- Have scheduled script $1 start now, as person $2 (null: the caller), for reason $3. Returns the API's object.
select tminus.run_now($1, $2, $3)

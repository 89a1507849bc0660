-- Take back the authorization of scheduled script $1, for reason $2, as person $3 (null: the caller). One row: the API's object.
select tminus.withdraw($1, $2, $3)

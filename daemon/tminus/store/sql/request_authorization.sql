-- Ask for an authorization of scheduled script $1, as person $2 (null: the caller). One row: the API's object.
select tminus.request_authorization($1, $2)

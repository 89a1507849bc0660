-- Authorize scheduled script $1, whose digest was seen to be $2, as person $3 (null: the caller). One row: the API's object.
select tminus.authorize($1, $2, $3)

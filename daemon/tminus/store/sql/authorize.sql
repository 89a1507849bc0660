-- Authorize scheduled script $1, whose digest was seen to be $2, as person $3 (null: the caller), with signature $4 (null: none)
-- over tminus.statement, until $5 (null: as the policy has it), for reason $6. One row: the API's object.
select tminus.authorize($1, $2, $3, $4, $5, $6)

-- Put the sites that the query of scheduled script $1 means into it, for person $2. One row: the API's object.
select tminus.resolve_sites($1, $2)

-- Let scheduled script $1, which was set aside, run again, with note $2, as person $3 (null: the caller). One row: the API's object.
select tminus.readmit($1, $2, $3)

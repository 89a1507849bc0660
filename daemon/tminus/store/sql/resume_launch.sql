-- Let the paused launch of scheduled script $1 go on, as person $2 (null: the caller). One row: the API's object.
select tminus.resume_launch($1, $2)

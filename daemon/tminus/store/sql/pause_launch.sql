-- Hold the launch of scheduled script $1 that is under way. $2: a note, $3: the person (null: the caller). One row: the API's object.
select tminus.pause_launch($1, $2, $3)

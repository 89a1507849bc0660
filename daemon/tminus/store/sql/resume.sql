-- Let launches start again, with note $1, as person $2 (null: the caller) who saw $3 lost starts. One row: how many are accepted.
select tminus.resume($1, $2, $3)

-- Let launches start again, with note $1, as person $2 (null: the caller) who saw $3 lost starts and acts; $4 to $6: their signature, when it expires
-- and which digest they signed, or null. One row: how many lost starts are accepted.
select tminus.resume($1, $2, $3, $4, $5, $6)

-- Look for our files on sites $1 (null: all) at once, as person $2 (null: the caller). One row: how many.
select tminus.hasten_cleanup($1, $2)

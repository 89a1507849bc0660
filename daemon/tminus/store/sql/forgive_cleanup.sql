-- Give cleanup debt $1 up, with note $2, as person $3 (null: the caller). One row, of nothing.
select tminus.forgive_cleanup($1, $2, $3)

-- Retry launch $1, on sites $2 (null: those that are safe to repeat), as person $3 (null: the caller). One row: the new launch.
select tminus.retry($1, sites => $2, by => $3)

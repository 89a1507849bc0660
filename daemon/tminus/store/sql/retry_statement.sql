-- What person $4 signs to have launch $1 retried as the launch $2 on sites $3 (null: where that is safe), until $5. One row; null: nobody
-- authorized it.
select tminus.retry_statement($1, $2, $3, $4, $5)

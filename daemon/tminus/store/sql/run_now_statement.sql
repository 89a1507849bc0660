-- What person $3 signs to have scheduled script $1 start now as the launch $2, until $4. One row; null: it does not wait for its time.
select tminus.run_now_statement($1, $2, $3, $4)

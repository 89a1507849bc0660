-- What person $3 signs to have scheduled script $1 tested as the launch $2, until $4. One row; null: it has no test site.
select tminus.test_statement($1, $2, $3, $4)

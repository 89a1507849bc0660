-- What person $3 signs for act $2 (confirm, of wave $5, or resume) on the launch of scheduled script $1 that is under way, until $4. One row;
-- null: there is nothing to sign.
select tminus.launch_statement($1, $2, $3, $4, $5)

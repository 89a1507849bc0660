-- Test scheduled script $1 on its test site as person $2 (null: the caller). One row: the launch.
select tminus.request_test($1, $2)

-- Lay verdict $2 with note $3 beside unknown site run $1, as person $4 (null: the caller); $5: and have its job stopped. One row: the
-- API's object of its scheduled script.
select tminus.resolve($1, $2, $3, $4, $5)

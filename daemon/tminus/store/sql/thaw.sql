-- End freeze $1 with note $2, as person $3 (null: the caller). One row.
select tminus.thaw($1, $2, $3)

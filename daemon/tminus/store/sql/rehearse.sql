-- Rehearse scheduled script $1 as person $2 (null: the caller). One row: the launch.
select tminus.rehearse($1, $2)

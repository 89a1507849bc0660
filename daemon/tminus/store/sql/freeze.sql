-- Stop new starts on the sites with tag $1 (null: all) until $2, or, where that is null, for $3; reason $4, as person $5 (null: the
-- caller). One row: the number of the freeze.
select tminus.freeze($1, coalesce($2::timestamptz, tminus.clock() + $3::interval), $4, $5)

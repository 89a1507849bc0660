-- Another site ($1 is ours) on which this serial number ($2) runs. Null: none.
select s.id from tminus.sites s where s.serial = $2 and s.id <> $1 limit 1

-- The status of scheduled script $1, which stands still until the end of the transaction. No row: there is none.
select s.status from tminus.scheduled_scripts s where s.id = $1 for no key update

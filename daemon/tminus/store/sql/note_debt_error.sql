-- Why the latest attempt to pay debt $1 did not: $2.
update tminus.cleanup_debts d set last_error = $2 where d.id = $1 and d.settled_at is null

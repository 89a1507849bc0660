-- A debt ($1) is paid: the file is gone.
update tminus.cleanup_debts d set settled_at = tminus.clock() where d.id = $1 and d.settled_at is null

-- Instance $1 has compared what it remembers with this server. One row, of nothing; it is no matter if it is not registered.
select tminus.settle_instance($1)

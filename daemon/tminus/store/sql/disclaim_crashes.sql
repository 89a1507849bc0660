-- Instance $1 was declared dead and lives: what it had in hand did not end it. One row, of nothing.
select tminus.disclaim_crashes($1)

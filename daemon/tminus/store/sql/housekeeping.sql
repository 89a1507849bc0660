-- What follows from time alone. One row.
select tminus.settle_late(100) as late, tminus.settle_pending() as given_up, tminus.finish_launches() as finished

-- What follows from time alone. One row.
select tminus.expire_authorizations(100) as expired, tminus.settle_late(100) as late, tminus.settle_pending() as given_up,
    tminus.finish_launches() as finished

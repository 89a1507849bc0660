-- Forget keys that are older than a day, some of them.
delete from tminus.idempotency_keys k
using (
    select q.principal, q.key
    from tminus.idempotency_keys q
    where q.at < tminus.clock() - interval '24 hours'
    order by q.at
    limit 100
    for update skip locked
) old
where k.principal = old.principal and k.key = old.key

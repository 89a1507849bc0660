-- Take letters to be sent now, for the length of a lease: who takes one and dies leaves it to whoever looks after that.
-- $1: channel; $2: address, or null for all of the channel; $3: how many; $4: the lease in seconds. No row: nothing is due.
update tminus.letters l
set attempts = l.attempts + 1, next_try_at = tminus.clock() + make_interval(secs => $4::double precision)
from tminus.contacts c
where l.id in (
        select q.id
        from tminus.letters q
        join tminus.contacts k on k.id = q.contact_id
        where q.state = 'pending' and q.next_try_at <= tminus.clock() and k.enabled and k.channel = $1 and ($2::text is null or k.address = $2)
        order by q.next_try_at
        limit $3
        for update of q skip locked)
    and l.state = 'pending' and c.id = l.contact_id
returning l.id, l.attempts, l.made_at, c.person, c.address

-- The contacts of a person ($1; null: of all), with how many of their letters wait, and why the last that failed did.
-- No row: there are none.
select c.id, c.person, c.channel, c.address, c.news, c.digest_every, c.enabled,
    (select count(*) from tminus.letters l where l.contact_id = c.id and l.state = 'pending') as waiting,
    (select l.last_error from tminus.letters l where l.contact_id = c.id and l.state = 'failed' order by l.ended_at desc limit 1) as last_failure
from tminus.contacts c
where $1::text is null or c.person = $1
order by c.person, c.channel, c.address

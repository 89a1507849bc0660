-- Add a contact, or change what it is told. $1: person; $2: channel; $3: address; $4: news, null for all; $5: digest_every.
insert into tminus.contacts (person, channel, address, news, digest_every)
values ($1, $2, $3, $4::text[], $5)
on conflict (person, channel, address) do update set news = excluded.news, digest_every = excluded.digest_every, enabled = true
returning id

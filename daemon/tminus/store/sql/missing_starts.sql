-- Which starts this database does not have, of those on site $1 with nonce $2 each, whatever a person accepted; and whether it says that
-- one did. No row: it has all of them.
select u.nonce, exists (select from tminus.lost_starts l where l.nonce = u.nonce and l.accepted_at is not null) as is_accepted
from unnest($1::text[], $2::text[]) as u (site, nonce)
where not exists (select from tminus.site_runs r where r.site_id = u.site and r.nonce = u.nonce and r.executing_at is not null)

-- Scheduled scripts that no daemon has looked at yet. $1: how many; $2: the instance that asks: each takes them in another
-- order, so that several daemons seldom look at the same one. No row: all are looked at, or held
-- by somebody: what was found could not be written.
select s.id, s.script, s.site_timeout, s.post_checks, sha256(convert_to(s.script, 'UTF8')) as sha256
from (
    select id from tminus.scheduled_scripts
    where findings is null and status <> 'cancelled'
    order by created_at
    limit 50
) w
join tminus.scheduled_scripts s on s.id = w.id
order by md5(s.id::text || $2::uuid::text)
limit $1
for no key update of s skip locked

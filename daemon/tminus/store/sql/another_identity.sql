-- What site $1 called itself before, if that is not $2; and a site that does, has no serial number either, and has the host
-- key $3. No row: it calls itself what it did, or was never asked.
select s.identity as known,
    (select min(o.id) from tminus.sites o
        where o.id <> s.id and o.enabled and o.serial is null and o.identity = $2 and starts_with(coalesce(o.host_key, o.seen_host_key), $3)) as other
from tminus.sites s
where s.id = $1 and s.identity <> $2

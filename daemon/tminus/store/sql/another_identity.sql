-- What site $1 called itself before, if that is not $2; the script that was started there last; and a site that calls itself $2,
-- has no serial number either, and has the host key $3. No row: it calls itself what it did, or was never asked.
select s.identity as known,
    (select l.script from tminus.site_runs r join tminus.launches l on l.id = r.launch_id
        where r.site_id = s.id and r.executing_at is not null order by r.id desc limit 1) as last_script,
    (select min(o.id) from tminus.sites o
        where o.id <> s.id and o.enabled and o.serial is null and o.identity = $2 and starts_with(coalesce(o.host_key, o.seen_host_key), $3)) as other
from tminus.sites s
where s.id = $1 and s.identity <> $2

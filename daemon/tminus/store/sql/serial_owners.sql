-- Note that the sites $1 are the routers with the serial numbers $2; return which of them is another site's already, and
-- whose. Two that come at the same moment: the index sites_one_serial_each refuses one of them, who asks again. A site
-- that somebody holds (an inventory tool in its transaction) is noted another time: nobody waits for it.
with told as (
    select * from unnest($1::text[], $2::text[]) as t (site, serial)
), free as (
    select f.id from tminus.sites f where f.id = any ($1::text[]) and f.serial is null order by f.id for no key update skip locked
), noted as (
    update tminus.sites s
    set serial = t.serial
    from told t
    join free on free.id = t.site
    where s.id = t.site and not exists (select from tminus.sites o where o.serial = t.serial)
)
select t.site, o.id as owner from told t join tminus.sites o on o.serial = t.serial and o.id <> t.site

-- Note that site $1 is the router with serial number $2, and return another site that is so already. No row: it is $1's.
-- Two at the same moment: the index sites_one_serial_each refuses one of them, who asks again. A site that somebody holds
-- (an inventory tool in its transaction) is noted another time: nobody waits for it.
with free as (
    select f.id from tminus.sites f where f.id = $1 and f.serial is null for no key update skip locked
), noted as (
    update tminus.sites s
    set serial = $2
    from free
    where s.id = free.id and not exists (select from tminus.sites o where o.serial = $2)
)
select o.id from tminus.sites o where o.serial = $2 and o.id <> $1

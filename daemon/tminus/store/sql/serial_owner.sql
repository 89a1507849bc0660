-- Note that site $1 is the router with serial number $2, and return another site that is so already. No row: it is $1's.
-- Two at the same moment: the index sites_one_serial_each refuses one of them, who asks again.
with noted as (
    update tminus.sites s
    set serial = $2
    where s.id = $1 and s.serial is null and not exists (select from tminus.sites o where o.serial = $2)
)
select o.id from tminus.sites o where o.serial = $2 and o.id <> $1

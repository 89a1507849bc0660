-- Where the sites of an import will be reached, and which other site is reached there now. $1, $2: as in import_sites.
-- A row per site, with the address in the form in which it is compared; `holder` is null where the place is free or the site's own. What exists stays locked until the end of the
-- transaction, so that import_sites keeps what it is not given.
with given as materialized (
    select n.* from jsonb_to_recordset($1::jsonb) as n (id text, address text, port integer, jump_host text, runner text)
), existing as materialized (
    select e.id, e.jump_host, e.runner, e.port
    from tminus.sites e
    where e.id in (select id from given)
    order by e.id
    for no key update
), placed as (
    select
        n.id, tminus.canonical_address(n.address) as address,
        case when 'jump_host' = any ($2) then n.jump_host else e.jump_host end as jump_host,
        case when 'runner' = any ($2::text[]) then n.runner else e.runner end as runner,
        case when 'port' = any ($2) or e.id is null then coalesce(n.port, 22) else e.port end as port
    from given n
    left join existing e on e.id = n.id
)
select p.id, p.runner, p.jump_host, p.address, p.port, o.id as holder
from placed p
left join tminus.sites o on tminus.canonical_address(o.address) = p.address and o.port = p.port and o.runner is not distinct from p.runner
    and o.jump_host is not distinct from p.jump_host and o.id <> p.id

-- Upsert sites. $1: a JSON array with an object per site, in the order of writing; $2: which columns the objects have. A
-- column that is not among them keeps its value, or takes its default in a new site. place_sites has locked what exists.
-- Returns what was added or changed. A site that is as given already is not touched, and no row is returned for it.
insert into tminus.sites as s (id, name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags, timezone, variables, enabled,
    sensitive_export, return_address)
select
    n.id,
    case when 'name' = any ($2::text[]) or e.id is null then coalesce(n.name, n.id) else e.name end,
    n.address,
    case when 'port' = any ($2) or e.id is null then coalesce(n.port, 22) else e.port end,
    case when 'username' = any ($2) then n.username else e.username end,
    case when 'credential' = any ($2) then n.credential else e.credential end,
    case when 'host_key' = any ($2) then n.host_key else e.host_key end,
    case when 'ssh_profile' = any ($2) or e.id is null then coalesce(n.ssh_profile, 'modern') else e.ssh_profile end,
    case when 'jump_host' = any ($2) then n.jump_host else e.jump_host end,
    case when 'runner' = any ($2) then n.runner else e.runner end,
    case when 'tags' = any ($2) or e.id is null then coalesce(n.tags, '{}') else e.tags end,
    case when 'timezone' = any ($2) or e.id is null then coalesce(n.timezone, 'UTC') else e.timezone end,
    case when 'variables' = any ($2) or e.id is null then coalesce(n.variables, '{}') else e.variables end,
    case when 'enabled' = any ($2) or e.id is null then coalesce(n.enabled, true) else e.enabled end,
    case when 'sensitive_export' = any ($2) or e.id is null then coalesce(n.sensitive_export, false) else e.sensitive_export end,
    case when 'return_address' = any ($2) then n.return_address else e.return_address end
from rows from (jsonb_to_recordset($1::jsonb) as (id text, name text, address text, port integer, username text, credential text, host_key text,
    ssh_profile text, jump_host text, runner text, tags text[], timezone text, variables jsonb, enabled boolean, sensitive_export boolean, return_address text)) with ordinality
    as n (id, name, address, port, username, credential, host_key, ssh_profile, jump_host, runner, tags, timezone, variables, enabled, sensitive_export, return_address, position)
left join tminus.sites e on e.id = n.id
order by n.position
on conflict (id) do update
set name = excluded.name, address = excluded.address, port = excluded.port, username = excluded.username, credential = excluded.credential,
    host_key = excluded.host_key, ssh_profile = excluded.ssh_profile, jump_host = excluded.jump_host, runner = excluded.runner, tags = excluded.tags,
    timezone = excluded.timezone, variables = excluded.variables, enabled = excluded.enabled, sensitive_export = excluded.sensitive_export,
    return_address = excluded.return_address
where (s.name, s.address, s.port, s.username, s.credential, s.host_key, s.ssh_profile, s.jump_host, s.runner, s.tags, s.timezone, s.variables, s.enabled,
    s.sensitive_export, s.return_address)
    is distinct from
    (excluded.name, excluded.address, excluded.port, excluded.username, excluded.credential, excluded.host_key, excluded.ssh_profile,
        excluded.jump_host, excluded.runner, excluded.tags, excluded.timezone, excluded.variables, excluded.enabled, excluded.sensitive_export, excluded.return_address)
-- What was there, even if it came after the snapshot of this statement, was locked to be updated.
returning s.id, s.xmax = 0 as added

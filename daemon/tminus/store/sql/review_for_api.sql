-- What would be authorized of scheduled script $1: one snapshot, so that the digest is that of what is shown. No row: there is none.
select json_build_object(
    'digest', tminus.digest(s.id),
    'approval', (select approval from tminus.policy),
    'scheduled_script', tminus.scheduled_script(s.id),
    'sites', array(
        select json_build_object('id', t.id, 'name', t.name, 'address', t.address, 'port', t.port, 'enabled', t.enabled)
        from unnest(s.sites) with ordinality as u (site_id, position)
        join tminus.sites t on t.id = u.site_id
        order by u.position
    ))::text
from tminus.scheduled_scripts s
where s.id = $1

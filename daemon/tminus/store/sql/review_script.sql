-- What would be authorized of scheduled script $1: one snapshot, so that the digest is that of what is shown. No row: there is none.
select
    s.id, tminus.digest(s.id) as digest, s.description, s.script, s.status, s.launch_at, tminus.t_minus(s.launch_at) as t_minus, s.cron,
    s.timezone, s.test_site_id, s.make_backup, s.abort_if_offline, s.start_within, s.site_timeout, s.max_concurrency, s.expects_disconnect, s.detached, s.windows, s.local_time, s.stop_starting_at, s.missed_policy, s.until, s.max_launches, s.created_by,
    s.updated_by, (select approval from tminus.policy) as approval,
    array(
        select t.id || '  ' || t.address || case t.port when 22 then '' else ':' || t.port end
        from unnest(s.sites) with ordinality as u (site_id, position)
        join tminus.sites t on t.id = u.site_id
        order by u.position
    ) as sites,
    s.summary, s.findings
from tminus.scheduled_scripts s
where s.id = $1

-- Authorized scheduled scripts that will not run on some of the sites $1 as those are now, with how many. An authorization
-- covers how a site is reached, so a site that was changed since ends as site_changed.
select s.id, s.description, count(*) as sites
from tminus.scheduled_scripts s
join tminus.authorizations a on a.id = s.authorization_id
cross join lateral unnest(a.site_ids, a.site_digests) as u (site_id, site_digest)
join tminus.sites t on t.id = u.site_id
where s.status = 'scheduled' and u.site_id = any ($1::text[]) and u.site_digest <> tminus.site_digest(t, tminus.variables_field(tminus.variable_names(tminus.code(s.script, s.post_checks)), s.variables, t.variables))
    and s.id in (select script_id from tminus.scheduled_script_sites where site_id = any ($1))
group by s.id
order by s.launch_at, s.id

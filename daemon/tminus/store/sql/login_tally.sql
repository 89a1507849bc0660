-- How many sites of launch $1 with the credential $2 (as sites have it now; none is 'default') refused its login, and how many surely took it.
select
    count(*) filter (where r.state = 'failed' and r.reason = 'auth_failed')::integer as refused,
    count(*) filter (where r.executing_at is not null or r.state = 'running' and r.step <> 'connecting' or r.state = 'completed'
        or r.reason in ('rehearsed', 'identity_changed', 'backup_incomplete', 'upload_failed', 'script_rejected'))::integer as accepted
from tminus.site_runs r
join tminus.sites s on s.id = r.site_id
where r.launch_id = $1 and coalesce(s.credential, 'default') = $2

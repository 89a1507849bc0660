-- What came to light about site run $1 after its ending, oldest first. No row: nothing.
select e.at, e.detail ->> 'verdict' as verdict, e.detail ->> 'effect' as effect, e.detail ->> 'message' as message
from tminus.events e
join tminus.site_runs r on r.launch_id = e.launch_id and r.site_id = e.site_id
where r.id = $1 and e.kind = 'late_evidence' and (e.detail ->> 'site_run')::bigint = $1
order by e.id

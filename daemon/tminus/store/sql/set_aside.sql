-- Scheduled scripts that are set aside, since the daemon died three times while it ran them; the latest first.
select a.script_id, s.description, a.since, s.created_by
from tminus.set_aside a
join tminus.scheduled_scripts s on s.id = a.script_id
where a.readmitted_at is null
order by a.since desc, a.id

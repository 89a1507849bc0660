-- Cron rows without a next occurrence. $1: how many. No row: all are planned. `after`: since when an occurrence that was missed is made
-- up for, not before what was authorized or launched; null where none is. `is_spent`: it has made all its launches. What somebody
-- holds is left out, so that it keeps no other from being planned.
select s.id, s.cron, s.timezone, tminus.clock() as now, s.until, s.max_launches, tminus.is_spent(s) as is_spent,
    case when s.missed_policy = 'run_latest' and s.status = 'scheduled' then greatest(s.authorized_at, tminus.clock() - s.start_within,
        (select max(l.due_at) from tminus.launches l where l.script_id = s.id and l.kind = 'scheduled')) end as after
from tminus.scheduled_scripts s
where s.cron is not null and s.launch_at is null and s.status in ('unauthorized', 'scheduled')
limit $1
for no key update of s skip locked

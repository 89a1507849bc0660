-- Cron rows without a next occurrence. $1: how many. No row: all are planned.
select s.id, s.cron, s.timezone, tminus.clock() as now
from tminus.scheduled_scripts s
where s.cron is not null and s.launch_at is null and s.status in ('unauthorized', 'scheduled')
limit $1

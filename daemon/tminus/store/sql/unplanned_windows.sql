-- Windows whose plan is missing, over, or older than an hour (a newer zone database may know better). $1: how many. No row: all are
-- planned.
select w.name, w.timezone, w.weekly, w.spans, w.updated_at, tminus.clock() as now
from tminus.windows w
where w.planned_at is null or w.closes_at <= tminus.clock() or w.planned_at < tminus.clock() - interval '1 hour'
order by w.name
limit $1

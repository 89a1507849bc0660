-- The freezes that are in force, those that end first before the others. No row: nothing is frozen.
select f.id, f.tag, f.until, f.reason, f.since, f.frozen_by
from tminus.freezes f
where f.thawed_at is null and f.until > tminus.clock()
order by f.until, f.id

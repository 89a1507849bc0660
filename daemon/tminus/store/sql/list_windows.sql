-- All windows, those that are open or open next before the others. No row: there are none.
select w.name, w.scope, w.tag, w.timezone, w.weekly, w.spans, w.opens_at, w.closes_at, w.planned_at, w.updated_at, w.updated_by,
    tminus.is_open(w, tminus.clock()) as is_open
from tminus.windows w
order by w.opens_at, w.name

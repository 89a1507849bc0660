-- Write that window $1, as it was at $2, is open from $3 until $4 (null: it opens no more). No row: it was changed or removed
-- meanwhile, or somebody holds it; it is planned at the next look.
update tminus.windows w
set opens_at = $3, closes_at = $4, planned_at = tminus.clock()
where w.name = (select f.name from tminus.windows f where f.name = $1 for no key update skip locked) and w.updated_at = $2
returning w.name

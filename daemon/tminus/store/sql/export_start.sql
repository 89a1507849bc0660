-- Where exporting backups ends. $1: the backup up to which all are exported. One row: the highest backup now, and the one up
-- to which none can appear any more. A transaction that is under way may hold a lower number than one that is committed, but
-- its deadline is half a minute: below a backup that was taken before that, nothing is missing.
with young as (
    select min(b.id) as first
    from tminus.backups b
    where b.id > $1 and b.taken_at > tminus.clock() - interval '2 minutes'
)
select
    coalesce((select max(b.id) from tminus.backups b), 0) as highest,
    greatest($1, coalesce((select max(b.id) from tminus.backups b where y.first is null or b.id < y.first), 0)) as settled
from young y

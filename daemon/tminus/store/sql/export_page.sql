-- The next $2 backups after $1, up to $3, without their texts. `changed`: another text than that of this site's backup
-- before it. No row: these are all.
select
    b.id, b.site_id, b.phase, b.taken_at, b.sha256, b.launch_id, l.script_id, l.kind, l.description, l.due_at,
    b.sha256 is distinct from (
        select p.sha256
        from tminus.backups p
        where p.site_id = b.site_id and (p.taken_at, p.id) < (b.taken_at, b.id)
        order by p.taken_at desc, p.id desc
        limit 1
    ) as changed
from tminus.backups b
join tminus.launches l on l.id = b.launch_id
where b.id > $1 and b.id <= $3
order by b.id
limit $2

-- The launch of scheduled script $1 that is under way, and since when it is paused. No row: none is.
select l.id, l.paused_at from tminus.launches l
where l.script_id = $1 and l.kind not in ('rehearsal', 'test') and l.state = 'running' and l.finished_at is null

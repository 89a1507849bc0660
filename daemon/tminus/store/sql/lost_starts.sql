-- Starts that a daemon remembers and this database does not know, and that nobody accepted yet. No row: nothing is paused.
select l.site_run_id, l.launch_id, l.site_id, l.started_at, l.noticed_at, l.noticed_by
from tminus.lost_starts l
where l.accepted_at is null
order by l.started_at, l.nonce

-- The export from phase $2 of site run $1. No row: none is stored.
select b.header, b.sha256, tminus.backup_text(b.id) as text
from tminus.backups b
where b.site_run_id = $1 and b.phase = $2

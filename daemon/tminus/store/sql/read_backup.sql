-- Backup $1 with its text. No row: there is no such backup.
select b.id, b.site_id, b.phase, b.taken_at, b.sha256, b.header, b.raw_bytes, b.launch_id, b.site_run_id, b.sensitive, tminus.backup_text(b.id) as text
from tminus.backups b
where b.id = $1

-- The text with SHA-256 $1. No row: retention forgot it meanwhile.
select t.text from tminus.backup_texts t where t.sha256 = $1

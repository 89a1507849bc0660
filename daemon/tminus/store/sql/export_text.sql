-- The text with SHA-256 $1. No row: retention forgot it meanwhile.
select e.text from (select tminus.export_text($1) as text) e where e.text is not null

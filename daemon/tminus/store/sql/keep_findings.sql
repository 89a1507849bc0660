-- Write what was found in scheduled script $1 (findings $4, and summary $5 where the client gave none), if it is still what
-- was looked at: the script's SHA-256 $2, the site_timeout $3 and the post_checks $6. No row: it was edited meanwhile, or another daemon was first.
update tminus.scheduled_scripts s
set findings = $4::jsonb,
    summary = case when s.summary is null or s.summary_generated then $5 else s.summary end,
    summary_generated = (s.summary is null or s.summary_generated) and $5 is not null
where s.id = $1 and s.findings is null and sha256(convert_to(s.script, 'UTF8')) = $2 and s.site_timeout = $3 and s.post_checks = $6::text[]
returning s.id

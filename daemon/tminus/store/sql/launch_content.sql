-- The content of launch $1, as launched. Always one row for an id that a claim returned.
select l.id, l.script_id, l.script, l.make_backup, l.abort_if_offline, l.start_within, l.site_timeout, l.expects_disconnect, l.detached, l.due_at,
    l.kind = 'rehearsal' as rehearsal, l.kind, l.digest,
    (select s.cron is not null from tminus.scheduled_scripts s where s.id = l.script_id) as recurring
from tminus.launches l
where l.id = $1

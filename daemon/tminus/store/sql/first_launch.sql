-- The launch that launch $1 repeats, or $1 itself. No row: there is no such launch.
select coalesce(l.retry_of, l.id) from tminus.launches l where l.id = $1

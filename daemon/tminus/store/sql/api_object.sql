-- Scheduled script $1 as the API shows it, in JSON. Null if there is no such scheduled script.
select tminus.scheduled_script($1)

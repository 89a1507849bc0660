-- Scheduled scripts whose id lies between $1 and $2: those that begin with what a person typed. At most 4.
select id from tminus.scheduled_scripts where id between $1 and $2 order by id limit 4

-- End the sessions of instances that were declared dead in which a transaction is open; one row: how many.
-- A process that is frozen between the messages of a statement holds its rows for as long as it sleeps: to the server it is
-- at work, and no time limit counts (before PostgreSQL 17 there is none that would). What it had is settled by the next tminus.reap().
-- The server lets us end the sessions of our own login alone.
select count(*) filter (where pg_terminate_backend(a.pid)) as cut_off
from tminus.instances i
join pg_stat_activity a on right(a.application_name, 36) = i.id::text
where i.state = 'dead' and i.ended_at > tminus.clock() - interval '1 day'
    and a.datname = current_database() and a.usename = current_user and a.xact_start is not null

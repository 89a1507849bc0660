-- What person $2 (null: the caller) signs to authorize scheduled script $1 until $3 (null: for ever), as it is now; with the digest
-- that is in it, and who that person is. $3 is to be given in whole microseconds. No row: there is no such scheduled script.
select tminus.statement(s.id, $2, $3) as statement, tminus.digest(s.id) as digest, coalesce($2, session_user::text) as approver
from tminus.scheduled_scripts s
where s.id = $1

-- What the page of scheduled script $1 says beside its review. No row: there is none.
select s.status, s.status_reason, s.created_at, s.updated_at, s.authorized_by, s.authorized_at, s.authorization_expires_at, s.cancelled_by, s.cancelled_at,
    s.notify, s.cron
from tminus.scheduled_scripts s
where s.id = $1

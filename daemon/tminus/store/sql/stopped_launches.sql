-- Of launches $1, those of which nothing may start now: cancelled, halted, or paused by a person. No row: all go on.
select l.id from tminus.launches l where l.id = any ($1::uuid[]) and (l.state <> 'running' or l.paused_at is not null)

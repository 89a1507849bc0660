-- Remove window $1. No row: there is none.
delete from tminus.windows where name = $1 returning name

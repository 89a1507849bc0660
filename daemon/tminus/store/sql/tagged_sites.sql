-- Ids of the enabled sites with tag $1. No row: none has it.
select id from tminus.sites where enabled and $1 = any (tags) order by id

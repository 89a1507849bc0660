-- What the rendering of scheduled script $1 on site $2 is made of. `variables` is null where there is no such site. No row: there
-- is no such scheduled script.
select s.script, s.post_checks, tminus.variables_of(s.id, $2) as variables, $2 = any (s.sites) as is_target
from tminus.scheduled_scripts s
where s.id = $1

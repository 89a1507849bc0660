-- The scheduled script of launch $1. No row: there is no such launch.
select l.script_id from tminus.launches l where l.id = $1

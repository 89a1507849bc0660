-- Instance $1 ends by itself. What it left running is settled by the reaper of any instance.
update tminus.instances i
set state = 'stopped', ended_at = tminus.clock()
where i.id = $1 and i.state in ('alive', 'draining')

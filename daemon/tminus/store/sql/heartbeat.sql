-- Say that instance $1 lives. No row: it was declared dead and can never write again.
update tminus.instances i
set heartbeat_at = tminus.clock(), state = case when $2 then 'draining' else i.state end
where i.id = $1 and i.state in ('alive', 'draining')
returning i.state

-- By which holds hosts hold themselves back until an approver has signed. No row: none does. `silent`: its daemon does not live at present.
select h.id, coalesce(i.name, 'a daemon that is starting') as name, h.since, cardinality(h.nonces) as starts, h.why, coalesce(not tminus.is_alive(i), true) as silent
from tminus.host_holds h
left join tminus.instances i on i.id = h.instance_id
where h.released_at is null
order by h.since, h.id

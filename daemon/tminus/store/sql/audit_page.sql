-- Up to $2 seals after $1, in order, each with its event as it is now; what is of the event is null where that is gone.
select
    s.seq, s.event_id, s.event_hash, s.sealed_at, s.hash, e.id is not null as is_there, e.at, e.kind, e.script_id, e.launch_id, e.site_id,
    e.principal, e.session, e.source, e.detail::text as detail
from tminus.audit_seals s
left join tminus.events e on e.id = s.event_id
where s.seq > $1
order by s.seq
limit $2

-- Launches that are paused, or were halted or cancelled within the last day, so that a host can remember it. $1: the pairs of id and paused_at that it
-- knows (ids), $2: their paused_at, null where it is over; $3: how many. No row: nothing is new.
select l.id, case when l.state = 'running' then l.paused_at end as paused_at
from tminus.launches l
where l.kind <> 'rehearsal' and l.authorization_id is not null
    and (l.finished_at is null and (l.paused_at is not null or l.state in ('halted', 'cancelled'))
        or l.finished_at > tminus.clock() - interval '1 day' and l.state in ('halted', 'cancelled'))
    and not exists (
        select from unnest($1::uuid[], $2::timestamptz[]) as k (id, paused_at)
        where k.id = l.id and k.paused_at is not distinct from case when l.state = 'running' then l.paused_at end)
order by l.id
limit $3

-- Instances that have not ended, with the seconds since they were last heard of. One is silent past its ttl until it is
-- declared dead. `unsettled`: it has yet to say whether this server, which started or took over, knows all that it started;
-- nothing is started by anyone until then.
select
    i.id, i.name, i.host, i.pid, i.version, i.state, i.started_at, i.max_sessions,
    extract(epoch from tminus.clock() - i.heartbeat_at)::double precision as heard_ago,
    i.heartbeat_at + i.ttl < tminus.clock() as silent,
    i.settled_on is distinct from (select tminus.incarnation())
        and not exists (select from tminus.instances o where o.memory = i.memory and o.settled_on = (select tminus.incarnation())
            and o.state in ('alive', 'draining')) as unsettled,
    (select count(*) from tminus.site_runs r where r.instance_id = i.id and r.finished_at is null and r.state = 'running') as running
from tminus.instances i
where i.state in ('alive', 'draining')
order by i.started_at, i.id

-- Scripts in hand at two deaths of a daemon or more (as in tminus.suspects), not set aside, of which a launch is open: each is run,
-- and what became of it asked, by a daemon that takes up nothing else meanwhile. `daemons`: who has it in hand. The latest first.
select s.id as script_id, s.description, c.deaths, c.latest, array(
    select distinct i.name
    from tminus.launches l
    join tminus.site_runs r on r.launch_id = l.id and r.state = 'running' and r.finished_at is null
    join tminus.instances i on i.id = r.instance_id
    where l.script_id = s.id and l.finished_at is null
    order by i.name) as daemons
from (
    select x.script_id, count(*) as deaths, max(x.at) as latest
    from tminus.crashes x
    where x.cleared_at is null
    group by x.script_id
    having count(*) >= 2
) c
join tminus.scheduled_scripts s on s.id = c.script_id
where exists (select from tminus.launches l where l.script_id = s.id and l.finished_at is null)
    and not exists (select from tminus.set_aside a where a.script_id = s.id and a.readmitted_at is null)
order by c.latest desc, s.id

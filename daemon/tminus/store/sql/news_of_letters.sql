-- What letters tell, the oldest news first. $1: ids of letters. `counts`: how many site runs of the launch ended how, and how
-- many have not; `wrong`: the first that did not complete, as {site, state, reason, message}.
select o.letter_id, o.source, o.news, o.at, o.principal, o.detail::text as detail, o.script_id, o.launch_id, s.description, s.summary, s.created_by,
    s.authorized_by, s.status_reason, coalesce(l.due_at, s.launch_at) as launch_at, cardinality(coalesce(l.sites, s.sites)) as sites,
    l.state as launch_state, l.reason as launch_reason,
    (select coalesce(json_object_agg(n.outcome, n.count), '{}') from (
        select r.outcome, count(*) as count from tminus.site_runs r where r.launch_id = o.launch_id group by r.outcome) n)::text as counts,
    (select coalesce(json_agg(w), '[]') from (
        select r.site_id as site, r.state, r.reason, left(r.message, 300) as message
        from tminus.site_runs r
        where r.launch_id = o.launch_id and r.state in ('failed', 'unknown')
        order by r.finished_at, r.id
        limit 10) w)::text as wrong
from tminus.outbox o
join tminus.scheduled_scripts s on s.id = o.script_id
left join tminus.launches l on l.id = o.launch_id
where o.letter_id = any ($1::uuid[])
order by o.letter_id, o.id

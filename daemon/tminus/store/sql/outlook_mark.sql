-- One text that changes whenever the page of what comes next has other things on it; how far launches are is no part of it.
select md5(concat_ws('|',
    (select string_agg(concat_ws(' ', u.id, u.status, u.launch_at, u.updated_at), ',') from (
        select n.* from (
            (select q.id, q.status, q.launch_at, q.updated_at from tminus.scheduled_scripts q where q.status = 'scheduled' order by q.launch_at limit $1)
            union all
            (select q.id, q.status, q.launch_at, q.updated_at from tminus.scheduled_scripts q where q.status = 'unauthorized' order by q.launch_at limit $1)
        ) n
        order by n.launch_at, n.id
    ) u),
    (select string_agg(concat_ws(' ', l.id, l.state, l.wave, l.asked_wave, l.confirmed_wave, l.paused_at), ',' order by l.id) from tminus.launches l where l.finished_at is null),
    (select string_agg(f.id::text, ',' order by f.id) from tminus.freezes f where f.thawed_at is null and f.until > tminus.clock()),
    (select string_agg(i.id::text, ',' order by i.id) from tminus.instances i where tminus.is_alive(i)),
    (select string_agg(r.id::text, ',' order by r.id) from (select q.id from tminus.site_runs q where q.state = 'unknown' and q.resolved_at is null order by q.id desc limit 50) r))) as mark

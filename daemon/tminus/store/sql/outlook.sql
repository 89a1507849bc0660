-- How many launches have not finished, and seconds until the next authorized one, null if there is none. One row.
select
    (select count(*) from tminus.launches where finished_at is null) as running,
    (
        select extract(epoch from s.launch_at - tminus.clock())::double precision
        from tminus.scheduled_scripts s
        where s.status = 'scheduled' and s.launch_at > tminus.clock()
        order by s.launch_at
        limit 1
    ) as next_in

-- What the inventory and the scheduled scripts ask of the daemon's configuration. One row; longest: seconds or null.
select
    coalesce(
        (
            select jsonb_object_agg(c.name, c.sites)
            from (select coalesce(s.credential, 'default') as name, count(*) as sites from tminus.sites s where s.enabled group by 1) c
        ),
        '{}'
    )::text as sites_by_credential,
    (
        select extract(epoch from max(s.site_timeout))::double precision
        from tminus.scheduled_scripts s
        where s.status in ('unauthorized', 'scheduled')
    ) as longest_site_timeout

-- What the inventory and the scheduled scripts ask of the configuration of a daemon that is one of the runners $1. One row;
-- longest: seconds or null.
with ours as materialized (
    select coalesce(s.credential, 'default') as credential, s.jump_host
    from tminus.sites s
    where s.enabled and (s.runner is null or s.runner = any ($1))
)
select
    (select count(*) from ours) as sites,
    coalesce(
        (select jsonb_object_agg(c.name, c.sites) from (select o.credential as name, count(*) as sites from ours o group by 1) c),
        '{}'
    )::text as sites_by_credential,
    coalesce(
        (
            select jsonb_object_agg(j.name, j.sites)
            from (select o.jump_host as name, count(*) as sites from ours o where o.jump_host is not null group by 1) j
        ),
        '{}'
    )::text as sites_by_jump_host,
    (
        select extract(epoch from max(s.site_timeout))::double precision
        from tminus.scheduled_scripts s
        where s.status in ('unauthorized', 'scheduled')
    ) as longest_site_timeout

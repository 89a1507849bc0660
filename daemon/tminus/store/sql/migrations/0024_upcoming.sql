-- What is to come: each scheduled script that has no launch yet, or has another one ahead, authorized or not.
-- Of a cron rule this is its planned occurrence; null while the daemon has not planned it. `frozen` says which freeze, made by now,
-- will still hold back some of its sites at that time, and `frozen_until` until when.
create view tminus.upcoming as
select
    s.id as script_id, s.description, s.launch_at, tminus.t_minus(s.launch_at) as t_minus, s.cron, s.timezone, s.local_time, s.until,
    s.start_within, s.windows, s.status = 'scheduled' as authorized, s.authorized_by, s.created_by, cardinality(s.sites) as sites,
    f.frozen, f.frozen_until
from tminus.scheduled_scripts s
left join lateral (
    select tminus.why_frozen(array[z.tag], greatest(s.launch_at, tminus.clock())) as frozen, z.until as frozen_until
    from tminus.freezes z
    where z.thawed_at is null and z.until > greatest(s.launch_at, tminus.clock())
        and (z.tag is null or exists (select from tminus.sites t where t.id = any (s.sites) and z.tag = any (t.tags)))
    order by z.until desc
    limit 1
) f on true
where s.status in ('scheduled', 'unauthorized');

grant select on tminus.upcoming to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

-- What outsiders read.

-- How many site runs of each launch are in which state, a person's verdict included. `ready` counts what a rehearsal found ready;
-- `unserved`, of those that wait, what no living daemon can serve. A launch without site runs has no row.
create view tminus.launch_counts as
select
    r.launch_id,
    count(*) as sites,
    count(*) filter (where r.outcome = 'completed') as completed,
    count(*) filter (where r.outcome = 'failed') as failed,
    count(*) filter (where r.outcome = 'skipped') as skipped,
    count(*) filter (where r.outcome = 'unknown') as unknown,
    count(*) filter (where r.outcome = 'running') as running,
    count(*) filter (where r.outcome = 'pending') as pending,
    count(*) filter (where r.reason = 'rehearsed') as ready,
    count(*) filter (where r.outcome = 'pending' and not tminus.is_served(r.site_id)) as unserved
from tminus.site_runs r
group by r.launch_id;

-- The latest run on each site of a launch, retries of it included.
create function tminus.latest_runs(p_launch uuid) returns setof tminus.site_runs
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select distinct on (r.site_id) r.*
    from tminus.site_runs r
    where r.launch_id = any (array(select p_launch union all select q.id from tminus.launches q where q.retry_of = p_launch))
    order by r.site_id, r.id desc
$$;

-- The API's object of one scheduled script: same keys, types and timestamp form; our own keys follow. Null if unknown.
create function tminus.scheduled_script(id uuid) returns json
language sql stable set search_path = pg_catalog, pg_temp
as $$
    -- A row, since a function takes no more than a hundred arguments.
    select row_to_json(shown)
    from (
        select
            s.id,
            s.created_by,
            s.test_site_id,
            s.make_backup,
            s.abort_if_offline,
            s.description,
            s.summary,
            s.script,
            s.status,
            tminus.api_time(s.authorized_at) as authorized_at,
            tminus.api_time(s.cancelled_at) as cancelled_at,
            tminus.api_time(s.launch_at) as launch_at,
            tminus.t_minus(s.launch_at) as t_minus,
            tminus.api_time(s.started_at) as started_at,
            to_json(s.sites) as sites,
            to_json(s.notify) as notify,
            json_build_object('completed', to_json(p.completed), 'failed', to_json(p.failed), 'pending', to_json(p.pending)) as progress,
            tminus.api_time(s.created_at) as created_at,
            tminus.api_time(s.updated_at) as updated_at,
            s.updated_by,
            s.authorized_by,
            tminus.api_time(s.authorization_expires_at) as authorization_expires_at,
            s.cancelled_by,
            s.status_reason,
            tminus.api_time(s.finished_at) as finished_at,
            s.cron,
            s.timezone,
            extract(epoch from s.start_within)::double precision as start_within,
            extract(epoch from s.site_timeout)::double precision as site_timeout,
            s.max_concurrency,
            s.expects_disconnect,
            s.detached,
            s.guard_version,
            s.guard_free_space,
            tminus.microseconds(s.guard_uptime) / 1000000 as guard_uptime,
            s.guard_cpu_load,
            s.variables,
            s.site_query,
            s.wave_sizes,
            s.wave_order,
            extract(epoch from s.wave_pause)::double precision as wave_pause,
            s.wave_confirm,
            extract(epoch from s.confirm_within)::double precision as confirm_within,
            s.max_failures,
            s.max_failures_in_wave,
            s.max_offline,
            s.windows,
            s.local_time,
            tminus.api_time(s.stop_starting_at) as stop_starting_at,
            s.missed_policy,
            tminus.api_time(s.until) as until,
            s.max_launches,
            s.post_checks,
            l.id as launch_id,
            l.state as launch_state,
            l.reason as launch_reason,
            l.wave as wave,
            l.waves as waves,
            tminus.api_time(l.paused_at) as paused_at,
            l.paused_by as paused_by,
            to_json(u.unserved) as unserved,
            s.findings
        from tminus.scheduled_scripts s
        -- The launch that is under way; else the latest, missed ones included.
        left join lateral (
            (select q.* from tminus.launches q where q.script_id = s.id and q.kind in ('scheduled', 'retry') and q.finished_at is null limit 1)
            union all
            (select q.* from tminus.launches q where q.script_id = s.id and q.kind in ('scheduled', 'retry') order by q.due_at desc limit 1)
            limit 1
        ) l on true
        cross join lateral (
            select
                coalesce(array_agg(r.site_id order by r.position) filter (where r.outcome = 'completed'), '{}') as completed,
                coalesce(array_agg(r.site_id order by r.position) filter (where r.outcome in ('failed', 'skipped', 'unknown')), '{}') as failed,
                coalesce(array_agg(r.site_id order by r.position) filter (where r.outcome in ('pending', 'running')), '{}') as pending,
                array_agg(r.site_id order by r.position) filter (where l.id is not null and r.outcome = 'pending') as waiting
            from (
                -- Before the first launch every site is pending, or, if it was cancelled, will never run.
                select site_id, position::bigint, case s.status when 'cancelled' then 'skipped' else 'pending' end as outcome
                from unnest(s.sites) with ordinality as x (site_id, position)
                where l.id is null
                union all
                -- Of ten thousand sites the latest runs take a while to find; without retries they are those of the launch.
                select site_id, position, outcome from tminus.site_runs
                where launch_id = l.id and l.retry_of is null and not exists (select from tminus.launches q where q.retry_of = l.id)
                union all
                select site_id, position, outcome from tminus.latest_runs(coalesce(l.retry_of, l.id)) q
                where l.retry_of is not null or exists (select from tminus.launches o where o.retry_of = l.id)
            ) as r (site_id, position, outcome)
        ) p
        -- Of those that are launched and wait: what no living daemon can serve. See tminus.why_unserved. (Written out, since a call of
        -- tminus.is_served for each of ten thousand sites takes a fifth of a second.)
        cross join lateral (
            select coalesce(array_agg(t.id order by w.position), '{}') as unserved
            from unnest(p.waiting) with ordinality as w (site_id, position)
            join tminus.sites t on t.id = w.site_id
            where not exists (select from tminus.instances i where tminus.is_alive(i) and tminus.can_serve(i, t))
        ) u
        where s.id = $1
    ) shown
$$;

-- The text with this SHA-256, put together where it is stored as what differs from another. Null: retention forgot it.
create function tminus.export_text(p_sha256 bytea) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
    t tminus.backup_texts;
    base text;
begin
    select * into t from tminus.backup_texts x where x.sha256 = p_sha256;
    if t.base is null then
        return t.text;
    end if;
    base := tminus.export_text(t.base);
    return left(base, t.head) || t.text || right(base, t.tail);
end $$;

-- The normalised text of one stored export (its sha256 is the backup's), without the dated first line, which is
-- backups.header. Null if there is no such backup.
create function tminus.backup_text(id bigint) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.export_text(b.sha256) from tminus.backups b where b.id = $1
$$;

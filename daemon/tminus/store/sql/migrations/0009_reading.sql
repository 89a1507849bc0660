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
    select json_build_object(
        'id', s.id,
        'created_by', s.created_by,
        'test_site_id', s.test_site_id,
        'make_backup', s.make_backup,
        'abort_if_offline', s.abort_if_offline,
        'description', s.description,
        'summary', s.summary,
        'script', s.script,
        'status', s.status,
        'authorized_at', tminus.api_time(s.authorized_at),
        'cancelled_at', tminus.api_time(s.cancelled_at),
        'launch_at', tminus.api_time(s.launch_at),
        't_minus', tminus.t_minus(s.launch_at),
        'started_at', tminus.api_time(s.started_at),
        'sites', to_json(s.sites),
        'notify', to_json(s.notify),
        'progress', json_build_object('completed', to_json(p.completed), 'failed', to_json(p.failed), 'pending', to_json(p.pending)),
        'created_at', tminus.api_time(s.created_at),
        'updated_at', tminus.api_time(s.updated_at),
        'updated_by', s.updated_by,
        'authorized_by', s.authorized_by,
        'authorization_expires_at', tminus.api_time(s.authorization_expires_at),
        'cancelled_by', s.cancelled_by,
        'status_reason', s.status_reason,
        'finished_at', tminus.api_time(s.finished_at),
        'cron', s.cron,
        'timezone', s.timezone,
        'start_within', extract(epoch from s.start_within)::double precision,
        'site_timeout', extract(epoch from s.site_timeout)::double precision,
        'max_concurrency', s.max_concurrency,
        'expects_disconnect', s.expects_disconnect,
        'detached', s.detached,
        'guard_version', s.guard_version,
        'guard_free_space', s.guard_free_space,
        'guard_uptime', tminus.microseconds(s.guard_uptime) / 1000000,
        'guard_cpu_load', s.guard_cpu_load,
        'variables', s.variables,
        'site_query', s.site_query,
        'launch_id', l.id,
        'launch_state', l.state,
        'launch_reason', l.reason,
        'wave', l.wave,
        'waves', l.waves,
        'paused_at', tminus.api_time(l.paused_at),
        'paused_by', l.paused_by,
        'unserved', to_json(p.unserved),
        'findings', s.findings)
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
            -- Of those that are launched and wait: what no living daemon can serve. See tminus.why_unserved.
            coalesce(array_agg(r.site_id order by r.position) filter (where l.id is not null and r.outcome = 'pending' and not tminus.is_served(r.site_id)), '{}') as unserved
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
    where s.id = $1
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

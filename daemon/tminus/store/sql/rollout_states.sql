-- Launches about whose rollout there is something to decide: with waves, limits, or a pause. Per wave, in order, as arrays: how many
-- sites, open, completed, failed (or unknown, but not offline) and offline; a person's verdicts count. `ended_at` is when the last
-- site of the last opened wave ended, null while one has not.
select
    l.id as launch_id, l.script_id, l.description, l.wave, l.waves, coalesce(l.wave_pause, interval '0') as wave_pause, l.wave_confirm,
    coalesce(l.confirm_within, interval '24 hours') as confirm_within, l.confirmed_wave, l.asked_wave,
    l.max_failures, l.max_failures_in_wave, l.max_offline, l.paused_at, l.paused_by, tminus.clock() as now,
    c.sites, c.open, c.completed, c.failed, c.offline, c.ended_at[l.wave] as ended_at
from tminus.launches l
cross join lateral (
    select array_agg(w.sites order by w.wave) as sites, array_agg(w.open order by w.wave) as open,
        array_agg(w.completed order by w.wave) as completed, array_agg(w.failed order by w.wave) as failed,
        array_agg(w.offline order by w.wave) as offline, array_agg(w.ended_at order by w.wave) as ended_at
    from (
        select r.wave, count(*) as sites,
            count(*) filter (where r.outcome in ('pending', 'running')) as open,
            count(*) filter (where r.outcome = 'completed') as completed,
            count(*) filter (where r.outcome in ('failed', 'unknown') and r.reason is distinct from 'offline') as failed,
            count(*) filter (where r.outcome = 'failed' and r.reason = 'offline') as offline,
            case when count(*) = count(r.finished_at) then max(r.finished_at) end as ended_at
        from tminus.site_runs r
        where r.launch_id = l.id
        group by r.wave
    ) w
) c
where l.finished_at is null and l.state = 'running' and l.kind not in ('rehearsal', 'test')
    and (l.waves > 1 or l.paused_at is not null or l.max_failures is not null or l.max_failures_in_wave is not null or l.max_offline is not null)
order by l.due_at, l.id

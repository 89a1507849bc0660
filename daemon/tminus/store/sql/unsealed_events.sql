-- Acts that no seal covers: how many wait for theirs, how many of these are gone already, and how many never waited. One row.
select
    (select count(*) from tminus.unsealed_events) as waiting,
    (select count(*) from tminus.unsealed_events q where not exists (select from tminus.events e where e.id = q.event_id)) as gone,
    (select count(*) from tminus.events e
        where e.kind not in ('site_completed', 'site_failed', 'site_skipped', 'site_unknown', 'late_evidence')
            and not exists (select from tminus.audit_seals s where s.event_id = e.id)
            and not exists (select from tminus.unsealed_events q where q.event_id = e.id)) as never

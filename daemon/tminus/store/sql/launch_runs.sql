-- Site runs of launch $1 in their order, after position $5: those of outcome $2 and of site ids that contain $3, where these are not null;
-- $4 rows at most. A text is `left` short: a person opens the one that matters.
select r.id, r.position, r.site_id, r.wave, r.outcome, r.state, r.step, r.reason, cardinality(r.warnings) as warnings,
    case when r.state = 'pending' then coalesce('Waits: ' || coalesce(tminus.why_unserved(s), tminus.why_capped(s.tags)) || '.', r.message) else r.message end as message,
    extract(epoch from coalesce(r.finished_at, tminus.clock()) - r.started_at)::double precision as seconds
from tminus.site_runs r
join tminus.sites s on s.id = r.site_id
where r.launch_id = $1 and ($2::text is null or r.outcome = $2) and ($3::text is null or strpos(lower(r.site_id), lower($3)) > 0)
    and r.position > coalesce($5::integer, -1)
order by r.position
limit $4

-- The site runs of launch $1, those alike together: same outcome, step or reason, effect, output and difference. What a person
-- has to look at comes first, then the larger groups. $2: how many groups. `message`, `output` and `diff` are of the first site.
select g.outcome, g.step, g.reason, g.effect, g.count, g.sites, g.warned, r.message, r.output, r.diff
from (
    select q.outcome, q.step, q.reason, q.effect, count(*) as count, (array_agg(q.site_id order by q.position))[1:10] as sites,
        count(*) filter (where cardinality(q.warnings) > 0) as warned, (array_agg(q.id order by q.position))[1] as first
    from (
        select r.*, md5(r.output) as output_hash, md5(r.diff) as diff_hash from tminus.site_runs r where r.launch_id = $1
    ) q
    group by q.outcome, q.step, q.reason, q.effect, q.output_hash, q.diff_hash
) g
join tminus.site_runs r on r.id = g.first
order by array_position(array['running', 'unknown', 'failed', 'skipped', 'pending', 'completed'], g.outcome), g.count desc, g.first
limit $2

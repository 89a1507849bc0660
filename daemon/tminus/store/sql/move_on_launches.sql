-- Endings of running sites keep their launches going: see launches.start_until. $1: ids of ended site runs.
-- A launch that somebody else holds is left out: two daemons must not wait for each other, nor for a person who cancels.
update tminus.launches l
set start_until = tminus.clock() + l.start_within
from (
    select m.id
    from tminus.launches m
    where m.finished_at is null and m.id in (select r.launch_id from tminus.site_runs r where r.id = any ($1::bigint[]))
    for no key update skip locked
) as mine
where l.id = mine.id

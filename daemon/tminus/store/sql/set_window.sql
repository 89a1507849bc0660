-- Make window $1, or replace its rules: in time zone $2 the weekly rules $3 and the spans from $4 until $5, for scope $6 with tag $7.
-- One row: whether it is new, and whether a site has the tag.
insert into tminus.windows (name, timezone, weekly, spans, scope, tag)
values ($1, $2, $3,
    array(select tstzrange(u.begins, u.ends) from unnest($4::timestamptz[], $5::timestamptz[]) with ordinality as u (begins, ends, n) order by u.n), $6, $7)
on conflict (name) do update
set timezone = excluded.timezone, weekly = excluded.weekly, spans = excluded.spans, scope = excluded.scope, tag = excluded.tag
returning scope, tag, xmax = 0 as is_new, exists (select from tminus.sites s where s.tags @> array[$7]) as has_sites

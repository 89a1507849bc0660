-- Whether all is paused here, and whether it will be: does this database know the start of site run $1 with nonce $2, as
-- tminus.knows_start asks, which would note it? One row; $1 null: nothing is remembered, and it is known.
select
    (select count(*) from tminus.lost_starts l where l.accepted_at is null) as lost,
    $1::bigint is null
        or exists (select from tminus.site_runs r where r.id = $1 and r.nonce = $2 and r.executing_at is not null)
        or exists (select from tminus.lost_starts l where l.nonce = $2 and l.accepted_at is not null) as known

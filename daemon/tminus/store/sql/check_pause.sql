-- Whether all is paused here, and whether it will be: does this database know the start on site $1 with nonce $2, as
-- tminus.note_lost_starts asks, which would note it? One row; $1 null: nothing is remembered, and it is known.
select
    (select count(*) from tminus.lost_starts l where l.accepted_at is null) as lost,
    (select count(*) from tminus.lost_acts l where l.accepted_at is null) as lost_acts,
    $1::text is null or tminus.knows_start($1, $2) as known

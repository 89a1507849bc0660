-- Note which starts this database does not know, of those that instance $1 remembers. Per start $2: site run, $3: nonce,
-- $4: launch, $5: site, $6: when. One row: how many it does not know and nobody accepted; see tminus.note_lost_starts.
select tminus.note_lost_starts($1, $2, $3, $4, $5, $6)

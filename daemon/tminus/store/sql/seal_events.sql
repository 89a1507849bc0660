-- Seal up to $1 events that wait for it. One row: how many, and the latest seal with its event (null: there is none, or another daemon is at it).
select sealed, seq, hash, event_id, event_hash from tminus.seal_events($1)

-- The starts that something is held back for: those that nobody accepted, and those that hosts wait for a signature for. No row: none.
select h.nonce, h.launch_id, h.site_id, h.started_at from tminus.held_starts() h

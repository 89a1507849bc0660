-- Say what became of sending a letter. $1: id; $2: attempts, as it was taken; $3: 'sent', 'failed' or 'pending' (to be tried
-- again); $4: in how many seconds; $5: why it was not sent, or null.
-- No row: it has ended, or was taken by another after our lease was over.
update tminus.letters l
set state = $3::text, last_error = $5::text,
    next_try_at = case when $3::text = 'pending' then tminus.clock() + make_interval(secs => $4::double precision) else l.next_try_at end,
    ended_at = case when $3::text <> 'pending' then tminus.clock() end
where l.id = $1 and l.attempts = $2 and l.state = 'pending'
returning l.id

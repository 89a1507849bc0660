-- What was signed for launch $1 since it was made, the oldest first: that it goes on, that a wave goes. No row: nothing was.
select a.act, a.wave, a.paused_at, a.approver, a.expires_at, a.signature
from tminus.authorizations a
where a.launch_id = $1 and a.act in ('confirm', 'resume')
order by a.id
limit 1000

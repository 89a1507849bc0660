-- What was signed to let go on who holds back by hold $1, the latest first: nobody has verified it. No row: nothing was.
select r.holds, r.nonces, r.launches, r.sites, r.moments, r.approver, r.expires_at, r.signature
from tminus.resumptions r
where r.holds @> array[$1::uuid]
order by r.id desc
limit 20

-- Signed authorizations in which a site is as digest $1 says, the latest first. No row: nobody ever signed for this site as it is.
select a.script_id, a.digest, a.row_digest, a.site_ids, a.site_digests, a.author, a.editor, a.approver, a.expires_at, a.signature
from tminus.authorizations a
where a.signature is not null and a.act = 'launch' and $1 = any (a.site_digests)
order by a.id desc
limit 5

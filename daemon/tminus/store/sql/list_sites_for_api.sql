-- Sites as the API shows them, by id, those with tag $1 (null: all) after id $2; $3 rows at most.
select s.id, tminus.site_for_api(s)::text as document
from tminus.sites s
where ($1::text is null or $1 = any (s.tags)) and s.id > coalesce($2::text, '')
order by s.id
limit $3

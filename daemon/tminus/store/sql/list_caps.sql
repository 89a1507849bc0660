-- The caps on tags, with how many places are taken and how many sites have the tag. No row: no tag is capped.
select c.tag, c.max_running, u.running, (select count(*) from tminus.sites s where s.tags @> array[c.tag]) as sites, c.set_at, c.set_by
from tminus.tag_caps c
join tminus.tag_use() u on u.tag = c.tag
order by c.tag

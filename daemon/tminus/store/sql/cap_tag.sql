-- Let something run on at most $2 sites with tag $1 at the same time (null: lift the cap), as person $3 (null: the caller). One row:
-- how many sites have the tag.
select tminus.cap_tag($1, $2, $3), (select count(*) from tminus.sites s where s.tags @> array[$1]) as sites

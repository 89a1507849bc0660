-- One row: is there a site $1?
select exists (select from tminus.sites where id = $1)

-- Pin host key $2 at site $1.
update tminus.sites set host_key = $2 where id = $1

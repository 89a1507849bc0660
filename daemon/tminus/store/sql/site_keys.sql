-- The host keys of site $1, locked until the end of the transaction. No row: there is no such site.
select host_key, seen_host_key from tminus.sites where id = $1 for no key update

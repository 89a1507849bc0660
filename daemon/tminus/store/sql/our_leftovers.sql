-- Which attempts $2 (nonces) on site $1 are this database's and not under way: their files may be removed. A nonce that is missing
-- is another database's, or that of a run whose script may still be running.
select n.nonce
from unnest($2::text[]) as n (nonce)
where (exists (select from tminus.site_runs r where r.site_id = $1 and r.nonce = n.nonce)
        or exists (select from tminus.cleanup_debts d where d.site_id = $1 and d.file_name = 'tminus-' || n.nonce || '.rsc'))
    and not exists (select from tminus.site_runs r where r.site_id = $1 and r.nonce = n.nonce and r.state = 'running')
    and not exists (
        select from tminus.busy_sites b
        join tminus.site_runs r on r.id = b.site_run_id
        where b.site_id = $1 and b.free_at is null and r.nonce = n.nonce)

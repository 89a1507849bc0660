-- Write what was accepted of a scan ($1: see tminus.accept_sites). A row per site that was written.
select id from tminus.accept_sites($1::jsonb) as id

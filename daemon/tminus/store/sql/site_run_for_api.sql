-- Site run $1 as the API shows it, in JSON. No row: there is none.
select tminus.site_run_for_api(r)::text from tminus.site_runs r where r.id = $1

-- Launch $1 as the API shows it, in JSON. No row: there is none.
select tminus.launch_for_api(l)::text from tminus.launches l where l.id = $1

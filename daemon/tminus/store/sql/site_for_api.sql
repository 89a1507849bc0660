-- Site $1 as the API shows it, in JSON. No row: there is none.
select tminus.site_for_api(s)::text from tminus.sites s where s.id = $1

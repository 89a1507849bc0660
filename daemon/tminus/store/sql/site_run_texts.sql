-- What is kept of site run $1 at length. No row: there is none.
select r.state, r.output, r.diff from tminus.site_runs r where r.id = $1

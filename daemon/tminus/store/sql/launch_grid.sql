-- The sites of launch $1 in the order of their positions, as launch_cells has them.
select r.id, r.site_id, r.wave from tminus.site_runs r where r.launch_id = $1 order by r.position

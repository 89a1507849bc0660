-- Which living daemons ask for signatures. No row: none does.
select i.name from tminus.instances i where i.requires_signature and tminus.is_alive(i) group by i.name order by i.name

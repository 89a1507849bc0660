-- The time that decides what is due and who lives, in seconds since 1970.
select extract(epoch from tminus.clock())::double precision

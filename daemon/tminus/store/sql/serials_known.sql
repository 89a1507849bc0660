-- Which of the serial numbers $1 are known, and of which site.
select serial, id from tminus.sites where serial = any ($1::text[])

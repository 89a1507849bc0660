-- Say that holds $1 are over, of the host of instance $2.
select tminus.release_holds($1, $2)

-- Say that the host of instance $2 holds back by hold $1, for starts each with nonce $3, launch $4, site $5 and moment $6; $7: why what was
-- signed for it does not count, or null.
select tminus.say_held($1, $2, $3, $4, $5, $6, $7)

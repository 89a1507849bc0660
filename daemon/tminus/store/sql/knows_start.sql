-- Does this database know the start of site run $1 with nonce $2 (launch $3, site $4, at $5), which instance $6 remembers?
select tminus.knows_start($1, $2, $3, $4, $5, $6)

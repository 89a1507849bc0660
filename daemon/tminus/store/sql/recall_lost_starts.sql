-- Put lost starts back into their site runs, for instance $1; $2: site runs whose scripts still run in its hands. One row: how
-- many. See tminus.recall_lost_starts.
select tminus.recall_lost_starts($1, $2)

-- Undo authorization $2 of scheduled script $1, which does not count, for reason $3. One row, of nothing; it is no matter if
-- the script was edited or authorized anew meanwhile.
select tminus.refuse_launch($1, $3, $2)

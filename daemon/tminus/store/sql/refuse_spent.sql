-- Site run $2 of instance $1 was started from here before ($3: with which nonce, $4: when, $5: under which launch), whatever this database says: it is
-- past its point of no return, and is resolved on the router by what that start left there. Its own file, which was
-- uploaded and not started, becomes a debt. One row: whether the run was ours.
select tminus.refuse_spent($1, $2, $3, $4, $5)

-- The hash of seal $1. No row: there is no such seal.
select s.hash from tminus.audit_seals s where s.seq = $1

-- The latest seal of the audit trail. No row: nothing was sealed yet.
select s.seq, s.hash from tminus.audit_seals s order by s.seq desc limit 1

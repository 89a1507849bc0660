-- Of the texts with SHA-256 $1, those that are stored; held until the commit, so that retention does not forget them
-- meanwhile. One that is missing has to be stored.
select t.sha256 from tminus.backup_texts t where t.sha256 = any ($1::bytea[]) order by t.sha256 for key share

-- Of the texts with secrets that have SHA-256 $1, those that are stored; held until the commit, so that retention does not
-- forget them meanwhile. One that is missing has to be stored.
select t.id, t.sha256 from tminus.sensitive_texts t where t.sha256 = any ($1::bytea[]) order by t.sha256 for key share

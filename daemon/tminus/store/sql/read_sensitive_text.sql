-- The text of backup $1 with its secrets, for who is a tminus_secret_reader; that is kept in the events. Null: there is none.
select tminus.sensitive_backup_text($1) as text

-- How much the database holds, in bytes on disk, indexes included. One row. Asks the file system and reads no table, but
-- still: a few times an hour is enough.
select
    pg_database_size(current_database()) as database_bytes,
    pg_total_relation_size('tminus.backup_texts') + pg_total_relation_size('tminus.sensitive_texts')
        + pg_total_relation_size('tminus.backups') as backup_bytes,
    pg_total_relation_size('tminus.site_runs') as site_run_bytes,
    pg_total_relation_size('tminus.events') as event_bytes

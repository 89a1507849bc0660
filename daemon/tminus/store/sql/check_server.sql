-- What 'tminus check' says of the server. One row.
select
    current_setting('server_version') as version,
    current_setting('server_version_num')::integer / 10000 as major,
    session_user::text as login,
    pg_is_in_recovery() as standby,
    current_setting('fsync') = 'on' as durable

-- What 'tminus check' says of its login. One row; roles: those of tminus whose rights it has, null where there are none yet.
-- (A superuser has them all.)
select
    (select rolsuper from pg_roles where rolname = session_user) as superuser,
    case when to_regrole('tminus_daemon') is not null then
        array(
            select r.rolname::text
            from pg_roles r
            where r.rolname = any ('{tminus_owner,tminus_author,tminus_approver,tminus_reader,tminus_gateway,tminus_daemon,tminus_secret_reader}')
                and pg_has_role(session_user, r.oid, 'usage')
            order by r.rolname
        )
    end as roles

-- Cluster-wide roles, created if absent. Runs as the connecting user before every migration run (roles belong to the
-- cluster, not to one database), so it is safe to repeat and to run from several databases at once.
--
--   tminus_owner     owns the schema; nobody logs in as it. The functions of the contract run as it, and the triggers
--                    tell by current_user = 'tminus_owner' that a protected column is written by one of them.
--   tminus_author    inserts and edits its own scheduled scripts
--   tminus_approver  authorizes
--   tminus_reader    reads
--   tminus_gateway   a tool with one login for many people: acts for a named person, and keeps the sites
--   tminus_daemon    runs launches; can neither author nor approve
--   tminus_secret_reader  beside another role: reads exports with secrets, where such are stored
do $$
declare
    name text;
begin
    foreach name in array array['tminus_owner', 'tminus_author', 'tminus_approver', 'tminus_reader', 'tminus_gateway', 'tminus_daemon', 'tminus_secret_reader']
    loop
        if not exists (select from pg_roles where rolname = name) then
            begin
                execute format('create role %I nologin', name);
            exception when duplicate_object or unique_violation then
                null;  -- another database's migration was faster
            end;
        end if;
    end loop;
    if not (select rolsuper from pg_roles where rolname = current_user) and not pg_has_role('tminus_owner', 'usage') then
        execute format('grant tminus_owner to %I', current_user);
    end if;
end $$;

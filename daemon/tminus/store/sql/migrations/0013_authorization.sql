-- What an approver signs, what a person may see before authorizing, and how an authorization ends before its launch.

-- The text whose signature authorizes: a line a field, in this order, each ended by one newline. A client that writes it to a file
-- with the newline that psql adds has exactly what is to be signed. `launch` is null but for acts on a launch of their own.
-- domain/authorization.py builds the same text; tests/vectors/statement.json lets any language check its own.
create function tminus.statement_text(act text, launch uuid, script uuid, digest text, sites integer, author text, editor text, approver text,
    expires timestamptz) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(e'\n', 'tminus authorization, version 1', 'act: ' || act, 'launch: ' || launch, 'script: ' || script, 'digest: ' || digest,
        'sites: ' || sites, 'author: ' || author, 'editor: ' || editor, 'approver: ' || approver,
        'expires: ' || coalesce(tminus.api_time(expires), 'never'))
$$;

-- What `approver` (null: the caller) signs to authorize a scheduled script as it is now:
--   ssh-keygen -Y sign -f KEY -n tminus-authorization@v1 FILE
-- Null if there is no such scheduled script.
create function tminus.statement(id uuid, approver text default null, expires timestamptz default null) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.statement_text('launch', null, s.id, tminus.digest(s.id), cardinality(s.sites), s.created_by, s.updated_by,
        coalesce(statement.approver, session_user), statement.expires)
    from tminus.scheduled_scripts s
    where s.id = statement.id
$$;

grant execute on function tminus.statement_text(text, uuid, uuid, text, integer, text, text, text, timestamptz), tminus.statement(uuid, text, timestamptz)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

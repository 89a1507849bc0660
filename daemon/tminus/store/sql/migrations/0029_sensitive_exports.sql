-- Exports with secrets: for sites that ask for it (sites.sensitive_export, which the digest covers), by daemons whose own
-- configuration allows it (allow_sensitive_exports).
--
-- Such a backup has two texts. The one without secrets is a backup's as ever: it is compared, shown and exported. The one with
-- secrets is in tminus.sensitive_texts, which nobody reads but through the function below; no other text is stored as what
-- differs from it, and it is stored whole itself. The daemon writes it and cannot read it back.

grant select (id, sha256), insert (sha256, text), update (sha256) on tminus.sensitive_texts to tminus_daemon;

-- The text with secrets of one stored export; null if there is none. Who reads it is on record.
create function tminus.sensitive_backup_text(id bigint) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    found record;
begin
    if not pg_has_role(session_user, 'tminus_secret_reader', 'member') then
        raise exception 'only a member of tminus_secret_reader reads exports with secrets, and % is none', session_user
            using errcode = 'insufficient_privilege',
            hint = format('tminus.backup_text(%s) has the export without them; to give the role: grant tminus_secret_reader to %I', id, session_user);
    end if;
    select b.site_id, b.launch_id, l.script_id, t.text into found
    from tminus.backups b
    join tminus.sensitive_texts t on t.id = b.sensitive_id
    join tminus.launches l on l.id = b.launch_id
    where b.id = $1;
    if found.text is not null then
        -- The server's log as well: an event goes with a transaction that is rolled back.
        raise log 'the secrets of backup % were read by %', $1, session_user;
        perform tminus.record('secrets_read', tminus.acting(), found.script_id, found.launch_id, found.site_id, jsonb_build_object('backup', $1));
    end if;
    return found.text;
end $$;
grant usage on schema tminus to tminus_secret_reader;
grant execute on function tminus.sensitive_backup_text(bigint)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon, tminus_secret_reader;

-- Texts with secrets that no export refers to any more. As tminus.forget_texts does it, for the same reasons.
create function tminus.forget_sensitive_texts(p_after bigint, p_window integer, out next_after bigint, out forgotten integer)
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    seen bigint[];
    held bigint[];
begin
    seen := array(select t.id from tminus.sensitive_texts t where t.id > p_after order by t.id limit p_window);
    if cardinality(seen) = p_window then
        next_after := seen[p_window];
    end if;
    held := array(
        select t.id from tminus.sensitive_texts t
        where t.id = any (seen) and not exists (select from tminus.backups b where b.sensitive_id = t.id)
        for update of t skip locked);
    delete from tminus.sensitive_texts t
    where t.id = any (held) and not exists (select from tminus.backups b where b.sensitive_id = t.id);
    get diagnostics forgotten = row_count;
end $$;
grant execute on function tminus.forget_sensitive_texts(bigint, integer) to tminus_daemon;

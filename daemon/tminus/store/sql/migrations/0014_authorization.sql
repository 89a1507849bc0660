-- What an approver signs, what a person may see before authorizing, and how an authorization ends before its launch.

-- The text whose signature authorizes: a line a field, in this order, each ended by one newline. A client that writes it to a file
-- with the newline that psql adds has exactly what is to be signed. All from `launch` to `since` are null but for acts
-- on one launch: its id and its time (of a retry: the id that it is to have, and no time), the wave that may go, or since when it was paused.
-- domain/authorization.py builds the same text; tests/vectors/statement.json lets any language check its own.
create function tminus.statement_text(act text, launch uuid, script uuid, digest text, sites integer, author text, editor text, approver text,
    expires timestamptz, due timestamptz default null, wave integer default null, since timestamptz default null) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select concat_ws(e'\n', 'tminus authorization, version 1', 'act: ' || act, 'launch: ' || launch, 'due: ' || tminus.api_time(due), 'wave: ' || wave,
        'since: ' || tminus.api_time(since), 'script: ' || script, 'digest: ' || digest,
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

grant execute on function tminus.statement_text(text, uuid, uuid, text, integer, text, text, text, timestamptz, timestamptz, integer, timestamptz), tminus.statement(uuid, text, timestamptz)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

-- Ask for an authorization: recorded, with what was asked for and whom to tell (`notify`). It changes nothing else, and no address
-- exists whose mere opening would authorize. The sites that a site_query means are resolved first, so that it asks for those. Each request stands for itself, for one digest. `by` is the person, or null for the
-- caller: the author, an approver, or a gateway. Returns the scheduled script as the API shows it.
create function tminus.request_authorization(id uuid, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(request_authorization.by);
begin
    s := tminus.lock_script(request_authorization.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not ask for its authorization', s.id, s.created_by, who
            using errcode = 'insufficient_privilege';
    end if;
    if s.status <> 'unauthorized' then
        raise exception 'scheduled script % is %; there is nothing to ask for', s.id, s.status using errcode = 'object_not_in_prerequisite_state';
    elsif s.cron is null and s.launch_at <= tminus.clock() then
        raise exception 'the launch time % of scheduled script % has passed; it can no longer be authorized', tminus.api_time(s.launch_at), s.id
            using errcode = 'object_not_in_prerequisite_state', hint = 'Set launch_at to a time that is still to come.';
    end if;
    perform tminus.resolve_sites(s.id, request_authorization.by);
    s := tminus.lock_script(s.id);
    perform tminus.record('authorization_requested', who, s.id, null, null, jsonb_build_object('digest', tminus.digest(s.id),
        'notify', s.notify, 'launch_at', tminus.api_time(s.launch_at), 'cron', s.cron, 'sites', cardinality(s.sites)));
    return tminus.scheduled_script(s.id);
end $$;

-- Take an authorization back, before the launch: it has to be authorized again. A launch that was made goes on; to stop it, cancel.
-- `by` is the person, or null for the caller: an approver, a gateway, or the author. Returns the scheduled script as the API shows it.
create function tminus.withdraw(id uuid, reason text, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(withdraw.by);
    the_reason text := tminus.required_note(withdraw.reason);
begin
    s := tminus.lock_script(withdraw.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not withdraw its authorization', s.id, s.created_by, who
            using errcode = 'insufficient_privilege';
    end if;
    if s.status <> 'scheduled' then
        raise exception 'scheduled script % is %; there is no authorization to withdraw', s.id, s.status
            using errcode = 'object_not_in_prerequisite_state',
                hint = case s.status when 'launched' then 'To stop what was not started yet: tminus.cancel(id, by).'
                    else 'tminus.scheduled_script(id) shows what became of it.' end;
    end if;
    perform tminus.undo_authorization(s, 'authorization withdrawn by ' || who || ': ' || left(the_reason, 500));
    perform tminus.record('authorization_withdrawn', who, s.id, null, null, jsonb_build_object('authorization', s.authorization_id,
        'approver', s.authorized_by, 'reason', the_reason));
    return tminus.scheduled_script(s.id);
end $$;

create function tminus.undo_authorization(s tminus.scheduled_scripts, p_reason text) returns void
language sql set search_path = pg_catalog, pg_temp
as $$
    update tminus.scheduled_scripts u
    set status = 'unauthorized', status_reason = p_reason, authorization_id = null, authorized_at = null, authorized_by = null,
        authorization_expires_at = null
    where u.id = s.id and u.status = 'scheduled'
$$;

-- The daemon's: what was authorized until now has to be authorized again. Returns how many.
create function tminus.expire_authorizations(p_limit integer) returns integer
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    expired integer := 0;
begin
    for s in
        select q.* from tminus.scheduled_scripts q
        where q.status = 'scheduled' and q.authorization_expires_at <= tminus.clock()
        order by q.authorization_expires_at
        limit p_limit
        for update skip locked
    loop
        perform tminus.undo_authorization(s, 'the authorization by ' || s.authorized_by || ' expired at ' || tminus.api_time(s.authorization_expires_at));
        perform tminus.record('authorization_expired', 'tminus', s.id, null, null, jsonb_build_object('authorization', s.authorization_id,
            'approver', s.authorized_by, 'expired_at', tminus.api_time(s.authorization_expires_at)));
        expired := expired + 1;
    end loop;
    return expired;
end $$;

-- The latest test of a scheduled script, if it was of what it is now: where, when, by whom, and how it ended. Null: there is none.
create function tminus.last_test(id uuid) returns json
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select json_build_object('launch_id', l.id, 'site', r.site_id, 'at', tminus.api_time(l.due_at), 'by', l.created_by, 'outcome', r.outcome,
        'reason', r.reason, 'message', r.message)
    from tminus.launches l
    join tminus.site_runs r on r.launch_id = l.id
    where l.script_id = last_test.id and l.kind = 'test' and l.digest = (select tminus.digest(last_test.id))
    order by l.due_at desc, l.id
    limit 1
$$;

-- All that an approver has to see, as one object: the script itself, what was found in it, each site with how it is reached and when
-- it was last seen, the time in UTC and in each site's zone, the options, what changed since it was last authorized, and the digest
-- of exactly this. Null if there is no such scheduled script.
create function tminus.review(id uuid) returns json
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select json_build_object(
        'id', s.id,
        'digest', tminus.combine_digests(tminus.row_digest(s), s.sites, tminus.site_digests(s.sites, tminus.code(s.script, s.post_checks), s.variables)),
        'status', s.status,
        'status_reason', s.status_reason,
        'description', s.description,
        'summary', s.summary,
        'findings', s.findings,
        'script', s.script,
        'created_by', s.created_by,
        'updated_by', s.updated_by,
        'updated_at', tminus.api_time(s.updated_at),
        'notify', to_json(s.notify),
        'launch_at', tminus.api_time(s.launch_at),
        't_minus', tminus.t_minus(s.launch_at),
        'cron', s.cron,
        'timezone', s.timezone,
        'options', tminus.content_of(s) - '{script,description,launch_at,cron,timezone}'::text[],
        'approval', (select p.approval from tminus.policy p),
        'authorization_ttl', (select extract(epoch from p.authorization_ttl) from tminus.policy p),
        'signature_required_by', (select coalesce(json_agg(i.name order by i.name), '[]') from tminus.instances i where i.requires_signature and tminus.is_alive(i)),
        'requested', (
            select json_build_object('by', e.principal, 'at', tminus.api_time(e.at))
            from tminus.events e
            where e.script_id = s.id and e.kind = 'authorization_requested' and e.detail ->> 'digest' = tminus.digest(s.id)
            order by e.id desc
            limit 1),
        -- Its enabled sites that no daemon of those that live could serve, by the reason: each way to reach a site is asked about once.
        'unserved', (
            select coalesce(json_object_agg(w.why, w.sites order by w.why), '{}')
            from (
                select tminus.why_unserved(z) as why, json_agg(m.id order by m.position) as sites
                from (
                    select min(t.id) as one, array_agg(t.id order by u.position) as ids
                    from unnest(s.sites) with ordinality as u (site_id, position)
                    join tminus.sites t on t.id = u.site_id and t.enabled
                    group by t.runner, t.credential, t.jump_host
                ) g
                join tminus.sites z on z.id = g.one
                cross join unnest(g.ids) with ordinality as m (id, position)
                where exists (select from tminus.instances i where tminus.is_alive(i))
                group by 1
            ) w
            where w.why is not null),
        -- Enabled sites with one host key, of which no serial number tells that they are several routers.
        'same_key', (
            select coalesce(json_agg(k.sites order by k.first), '[]')
            from (
                select json_agg(t.id order by t.id) as sites, min(t.id) as first
                from tminus.sites t
                left join unnest(s.sites) as u (site_id) on u.site_id = t.id
                where t.enabled and coalesce(t.host_key, t.seen_host_key) is not null
                group by coalesce(t.host_key, t.seen_host_key)
                having count(*) > 1 and count(u.site_id) > 0 and bool_or(t.serial is null)
            ) k),
        'require_test', (select p.require_test from tminus.policy p),
        'test', tminus.last_test(s.id),
        'site_count', cardinality(s.sites),
        'sites', (
            select coalesce(json_agg(json_build_object('id', t.id, 'name', t.name, 'address', t.address, 'port', t.port, 'username', t.username,
                'credential', t.credential, 'jump_host', t.jump_host, 'host_key', t.host_key, 'ssh_profile', t.ssh_profile, 'sensitive_export', t.sensitive_export, 'return_address', t.return_address, 'runner', t.runner, 'enabled', t.enabled,
                'timezone', t.timezone, 'local_time', to_char(coalesce(s.local_time, s.launch_at at time zone t.timezone), 'YYYY-MM-DD HH24:MI:SS'),
                'identity', t.identity, 'model', t.model, 'version', t.version, 'last_seen_at', tminus.api_time(t.last_seen_at),
                -- The values of the $(names) in the script on this site, of which the digest is made.
                'variables', tminus.variables_of(s.id, t.id),
                'since_last', case
                    when a.id is null then null
                    when p.position is null then 'added'
                    when a.site_digests[p.position] <> tminus.site_digest(t, tminus.variables_field(tminus.variable_names(tminus.code(s.script, s.post_checks)), s.variables, t.variables)) then 'changed'
                    else 'same' end) order by u.position), '[]')
            from unnest(s.sites) with ordinality as u (site_id, position)
            join tminus.sites t on t.id = u.site_id
            left join unnest(a.site_ids) with ordinality as p (site_id, position) on p.site_id = u.site_id),
        'last_authorized', case when a.id is not null then json_build_object(
            'by', a.approver, 'at', tminus.api_time(a.at), 'reason', a.reason, 'digest', a.digest, 'signed', a.signature is not null,
            'script', a.content -> 'script',
            'changed', (
                select coalesce(json_agg(c.key order by c.key), '[]')
                from jsonb_each(tminus.content_of(s)) c
                where c.value is distinct from a.content -> c.key),
            'was', (
                select coalesce(json_object_agg(c.key, a.content -> c.key), '{}')
                from jsonb_each(tminus.content_of(s) - 'script') c
                where c.value is distinct from a.content -> c.key),
            'sites_removed', (select coalesce(json_agg(x), '[]') from unnest(a.site_ids) as x where x <> all (s.sites))) end)
    from tminus.scheduled_scripts s
    left join lateral (select q.* from tminus.authorizations q where q.script_id = s.id and q.act = 'launch' order by q.id desc limit 1) a on true
    where s.id = review.id
$$;

grant execute on function tminus.content_of(tminus.scheduled_scripts), tminus.last_test(uuid), tminus.review(uuid)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.request_authorization(uuid, text), tminus.withdraw(uuid, text, text) to tminus_author, tminus_approver, tminus_gateway;
grant execute on function tminus.expire_authorizations(integer) to tminus_daemon;

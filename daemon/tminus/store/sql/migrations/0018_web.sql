-- What the HTTP API keeps and needs beside the contract.

-- Answers to requests that named an Idempotency-Key. Written in the transaction of the act itself: either both are there, or
-- neither, and a second request with the key waits for the first.
create table tminus.idempotency_keys (
    principal text not null,
    key text not null check (key ~ '^[!-~]{1,200}$'),
    -- Of method, path and body: another request under the same key is a mistake of the client.
    request bytea not null check (octet_length(request) = 32),
    -- Null only within the transaction that answers.
    status integer,
    location text,
    answer text,
    at timestamptz not null default tminus.clock(),
    primary key (principal, key)
);
create index idempotency_keys_by_age on tminus.idempotency_keys (at);
grant select, insert, update (status, location, answer), delete on tminus.idempotency_keys to tminus_gateway;

-- Pages of scheduled scripts, newest first.
create index scheduled_scripts_by_age on tminus.scheduled_scripts (created_at desc, id desc);

-- The API's objects of what the model has no form for: moments as in tminus.scheduled_script, the daemon's words.
create function tminus.launch_for_api(l tminus.launches) returns json
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select json_build_object(
        'id', l.id,
        'script_id', l.script_id,
        'kind', l.kind,
        'state', l.state,
        'reason', l.reason,
        'due_at', tminus.api_time(l.due_at),
        'started_at', tminus.api_time(l.started_at),
        'finished_at', tminus.api_time(l.finished_at),
        'authorized_by', l.authorized_by,
        'created_by', l.created_by,
        'digest', l.digest,
        'counts', (
            select json_build_object('sites', count(*),
                'completed', count(*) filter (where r.outcome = 'completed'), 'failed', count(*) filter (where r.outcome = 'failed'),
                'skipped', count(*) filter (where r.outcome = 'skipped'), 'unknown', count(*) filter (where r.outcome = 'unknown'),
                'running', count(*) filter (where r.outcome = 'running'), 'pending', count(*) filter (where r.outcome = 'pending'))
            from tminus.site_runs r
            where r.launch_id = l.id))
$$;

create function tminus.site_run_for_api(r tminus.site_runs) returns json
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select json_build_object(
        'id', r.id,
        'launch_id', r.launch_id,
        'site_id', r.site_id,
        'outcome', r.outcome,
        'state', r.state,
        'step', r.step,
        'reason', r.reason,
        'effect', r.effect,
        'message', r.message,
        'warnings', to_json(r.warnings),
        'attempts', r.attempts,
        'started_at', tminus.api_time(r.started_at),
        'executing_at', tminus.api_time(r.executing_at),
        'finished_at', tminus.api_time(r.finished_at),
        'resolved_at', tminus.api_time(r.resolved_at),
        'resolved_by', r.resolved_by,
        'resolved_effect', r.resolved_effect,
        'resolution', r.resolution,
        'has_output', r.output is not null,
        'has_diff', r.diff is not null)
$$;

create function tminus.site_for_api(s tminus.sites) returns json
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select json_build_object(
        'id', s.id,
        'name', s.name,
        'address', s.address,
        'port', s.port,
        'username', s.username,
        'credential', s.credential,
        'host_key', s.host_key,
        'ssh_profile', s.ssh_profile,
        'jump_host', s.jump_host,
        'runner', s.runner,
        'tags', to_json(s.tags),
        'timezone', s.timezone,
        'variables', s.variables,
        'enabled', s.enabled,
        'sensitive_export', s.sensitive_export,
        'return_address', s.return_address,
        'identity', s.identity,
        'model', s.model,
        'serial', s.serial,
        'version', s.version,
        'last_seen_at', tminus.api_time(s.last_seen_at),
        'created_at', tminus.api_time(s.created_at),
        'updated_at', tminus.api_time(s.updated_at))
$$;

grant execute on function tminus.launch_for_api(tminus.launches), tminus.site_run_for_api(tminus.site_runs), tminus.site_for_api(tminus.sites)
    to tminus_gateway;

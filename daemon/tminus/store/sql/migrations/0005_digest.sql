-- The digest of what is authorized. Any language can compute it; this is the description, and tests hold vectors.
--
--   netstring(x)   = decimal length of x in bytes of UTF-8, ':', x, ','
--   field(n, v)    = nothing if v is null, else netstring(n) netstring(v)
--   booleans are 'true' / 'false', durations whole microseconds in decimal, moments 2025-10-30T10:00:00.000000Z
--
--   row part       = fields, in this order: id, script, make_backup, abort_if_offline, test_site_id, then launch_at or
--                    cron and timezone (neither with local_time), then start_within, site_timeout, max_concurrency, and, only where they are true,
--                    expects_disconnect, detached; and where they are given wave_sizes and wave_order (elements
--                    joined by commas), wave_pause, wave_confirm (where true), confirm_within, max_failures,
--                    max_failures_in_wave, max_offline, guard_version, guard_free_space, guard_uptime, guard_cpu_load, windows (the names as netstrings, one after the other; only where
--                    any are named), local_time (2025-10-30T10:00:00.000000), stop_starting_at, missed_policy (only where
--                    it is not skip), until, max_launches, post_checks (as netstrings, one after the other)
--   site part      = fields: id, jump_host, address, port, username, credential, host_key, ssh_profile (only
--                    where it is not modern), and variables: for each $(name) in
--                    the script or its post_checks that has a value on this site, in the order of the names' bytes,
--                    netstring(name) netstring('string:' | 'number:' | 'boolean:' and the text of the value); and, only where
--                    it is true, sensitive_export; and return_address
--   digest         = 'tminus1:' hex(sha256(netstring('tminus1') netstring(hex(sha256(row part)))
--                    and for each site in the order of `sites`: netstring(site id) netstring(hex(sha256(site part)))))
--
-- A field that a later version adds is null in the rows that do not use it, and so changes no digest.

-- These three and site_digest are bound to their operators now, by RETURN, so they need no search_path of their own and can be
-- inlined: thousands of sites are digested at once.
create function tminus.netstring(value text) returns text
language sql stable parallel safe
return octet_length(convert_to(value, 'UTF8')) || ':' || value || ',';

create function tminus.digest_field(name text, value text) returns text
language sql stable parallel safe
return case when value is null then '' else tminus.netstring(name) || tminus.netstring(value) end;

-- Of a list, in its order; null for an empty one.
create function tminus.netstrings(list text[]) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select string_agg(tminus.netstring(u.value), '' order by u.position) from unnest(list) with ordinality as u (value, position) $$;

create function tminus.sha256_hex(value text) returns text
language sql stable parallel safe
return encode(sha256(convert_to(value, 'UTF8')), 'hex');

create function tminus.row_digest(s tminus.scheduled_scripts) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.sha256_hex(
        tminus.digest_field('id', s.id::text)
        || tminus.digest_field('script', s.script)
        || tminus.digest_field('make_backup', s.make_backup::text)
        || tminus.digest_field('abort_if_offline', s.abort_if_offline::text)
        || tminus.digest_field('test_site_id', s.test_site_id)
        || tminus.digest_field('launch_at', case when s.cron is null and s.local_time is null then tminus.api_time(s.launch_at) end)
        || tminus.digest_field('cron', s.cron)
        || tminus.digest_field('timezone', s.timezone)
        || tminus.digest_field('start_within', tminus.microseconds(s.start_within)::text)
        || tminus.digest_field('site_timeout', tminus.microseconds(s.site_timeout)::text)
        || tminus.digest_field('max_concurrency', s.max_concurrency::text)
        || tminus.digest_field('expects_disconnect', case when s.expects_disconnect then 'true' end)
        || tminus.digest_field('detached', case when s.detached then 'true' end)
        || tminus.digest_field('wave_sizes', array_to_string(s.wave_sizes, ','))
        || tminus.digest_field('wave_order', array_to_string(s.wave_order, ','))
        || tminus.digest_field('wave_pause', tminus.microseconds(s.wave_pause)::text)
        || tminus.digest_field('wave_confirm', case when s.wave_confirm then 'true' end)
        || tminus.digest_field('confirm_within', tminus.microseconds(s.confirm_within)::text)
        || tminus.digest_field('max_failures', s.max_failures)
        || tminus.digest_field('max_failures_in_wave', s.max_failures_in_wave)
        || tminus.digest_field('max_offline', s.max_offline)
        || tminus.digest_field('guard_version', s.guard_version)
        || tminus.digest_field('guard_free_space', s.guard_free_space::text)
        || tminus.digest_field('guard_uptime', tminus.microseconds(s.guard_uptime)::text)
        || tminus.digest_field('guard_cpu_load', s.guard_cpu_load::text)
        || tminus.digest_field('windows', tminus.netstrings(s.windows))
        || tminus.digest_field('local_time', to_char(s.local_time, 'YYYY-MM-DD"T"HH24:MI:SS.US'))
        || tminus.digest_field('stop_starting_at', tminus.api_time(s.stop_starting_at))
        || tminus.digest_field('missed_policy', nullif(s.missed_policy, 'skip'))
        || tminus.digest_field('until', tminus.api_time(s.until))
        || tminus.digest_field('max_launches', s.max_launches::text)
        || tminus.digest_field('post_checks', tminus.netstrings(s.post_checks)))
$$;

-- All that may name variables: the script, and what is checked after it.
create function tminus.code(script text, post_checks text[]) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select case when cardinality(post_checks) > 0 then script || e'\n' || array_to_string(post_checks, e'\n') else script end $$;

-- The names in all $(name) of a script, in the order of their bytes, whatever stands around them.
create function tminus.variable_names(script text) returns text[]
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select case when strpos(script, '$(') = 0 then '{}' else coalesce((
        select array_agg(distinct m[1] collate "C" order by m[1] collate "C")
        from regexp_matches(script, '[$][(]([A-Za-z][A-Za-z0-9_-]{0,63})[)]', 'g') as m), '{}') end
$$;

-- The field `variables` of a site part: `names` as of the script, a site's own value before the scheduled script's.
create function tminus.variables_field(names text[], script_variables jsonb, site_variables jsonb) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$
    select string_agg(tminus.netstring(name) || tminus.netstring(jsonb_typeof(value) || ':' || (value #>> '{}')), '' order by position)
    from unnest(names) with ordinality as n (name, position),
        lateral (select coalesce(site_variables -> name, script_variables -> name) as value) as v
    where value is not null
$$;

create function tminus.site_digest(s tminus.sites, variables text) returns text
language sql stable parallel safe
return tminus.sha256_hex(
    tminus.digest_field('id', s.id)
    || tminus.digest_field('jump_host', s.jump_host)
    || tminus.digest_field('address', s.address)
    || tminus.digest_field('port', s.port::text)
    || tminus.digest_field('username', s.username)
    || tminus.digest_field('credential', s.credential)
    || tminus.digest_field('host_key', s.host_key)
    || tminus.digest_field('ssh_profile', nullif(s.ssh_profile, 'modern'))
    || tminus.digest_field('variables', variables)
    || tminus.digest_field('sensitive_export', case when s.sensitive_export then 'true' end)
    || tminus.digest_field('return_address', s.return_address));

-- Of a site as such, for a script that names no variables.
create function tminus.site_digest(s tminus.sites) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$ select tminus.site_digest(s, null) $$;

create function tminus.combine_digests(row_digest text, site_ids text[], site_digests text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select 'tminus1:' || tminus.sha256_hex(
        tminus.netstring('tminus1') || tminus.netstring(row_digest)
        || (select coalesce(string_agg(tminus.netstring(site_id) || tminus.netstring(site_digest), '' order by position), '')
            from unnest(site_ids, site_digests) with ordinality as u (site_id, site_digest, position)))
$$;

create function tminus.site_digests(site_ids text[], script text, script_variables jsonb) returns text[]
language sql stable set search_path = pg_catalog, pg_temp
as $$
    with script_names as materialized (select tminus.variable_names(script) as names)
    select array_agg(tminus.site_digest(s, case when cardinality(names) > 0 then tminus.variables_field(names, script_variables, s.variables) end)
        order by position)
    from script_names, unnest(site_ids) with ordinality as u (site_id, position)
    join tminus.sites s on s.id = u.site_id
$$;

-- What an approver quotes. Null if there is no such scheduled script.
create function tminus.digest(id uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.combine_digests(tminus.row_digest(s), s.sites, tminus.site_digests(s.sites, tminus.code(s.script, s.post_checks), s.variables))
    from tminus.scheduled_scripts s
    where s.id = $1
$$;

-- The values that the $(names) in a scheduled script have on a site: what its rendering there is made of. Null if there is no
-- such scheduled script or site.
create function tminus.variables_of(id uuid, site text) returns jsonb
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce((
        select jsonb_object_agg(wanted, value)
        from unnest(tminus.variable_names(tminus.code(s.script, s.post_checks))) as wanted,
            lateral (select coalesce(t.variables -> wanted, s.variables -> wanted) as value) as v
        where value is not null), '{}')
    from tminus.scheduled_scripts s, tminus.sites t
    where s.id = variables_of.id and t.id = variables_of.site
$$;

-- The first site on which a name of a scheduled script has no value, and the name; nothing is missing: null. Names in lines that
-- are comments and behind a backslash are none. The daemon, which knows the language, looks again for each site.
create function tminus.missing_variable(s tminus.scheduled_scripts) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select format('site %s has no variable %s, and the scheduled script gives none', t.id, wanted)
    from unnest(tminus.variable_names(replace(regexp_replace(tminus.code(s.script, s.post_checks), '(?n)^[[:blank:]]*#.*$', '', 'g'), chr(92) || '$(', ''))) as wanted
    join tminus.sites t on t.id = any (s.sites)
    where not s.variables ? wanted and not t.variables ? wanted
    order by array_position(s.sites, t.id), wanted
    limit 1
$$;

-- The digest of what is authorized. Any language can compute it; README describes it, tests hold vectors.
--
--   netstring(x)   = decimal length of x in bytes of UTF-8, ':', x, ','
--   field(n, v)    = nothing if v is null, else netstring(n) netstring(v)
--   booleans are 'true' / 'false', durations whole microseconds in decimal, moments 2025-10-30T10:00:00.000000Z
--
--   row part       = fields, in this order: id, script, make_backup, abort_if_offline, test_site_id, then launch_at or
--                    cron and timezone (neither with local_time), then start_within, site_timeout, max_concurrency, and, only where they are true,
--                    expects_disconnect, detached; and where they are given wave_sizes and wave_order (elements
--                    joined by commas), wave_pause, wave_confirm (where true), confirm_within, max_failures,
--                    max_failures_in_wave, max_offline, windows (the names as netstrings, one after the other; only where
--                    any are named), local_time (2025-10-30T10:00:00.000000), stop_starting_at, missed_policy (only where
--                    it is not skip), until, max_launches
--   site part      = fields: id, jump_host, address, port, username, credential, host_key
--   digest         = 'tminus1:' hex(sha256(netstring('tminus1') netstring(hex(sha256(row part)))
--                    and for each site in the order of `sites`: netstring(site id) netstring(hex(sha256(site part)))))
--
-- A field that a later version adds is null in the rows that do not use it, and so changes no digest.

-- These three are bound to their operators now, by RETURN, so they need no search_path of their own and can be inlined:
-- thousands of sites are digested at once.
create function tminus.netstring(value text) returns text
language sql immutable parallel safe
return octet_length(convert_to(value, 'UTF8')) || ':' || value || ',';

create function tminus.digest_field(name text, value text) returns text
language sql immutable parallel safe
return case when value is null then '' else tminus.netstring(name) || tminus.netstring(value) end;

-- Of a list, in its order; null for an empty one.
create function tminus.netstrings(list text[]) returns text
language sql immutable parallel safe set search_path = pg_catalog, pg_temp
as $$ select string_agg(tminus.netstring(u.value), '' order by u.position) from unnest(list) with ordinality as u (value, position) $$;

create function tminus.sha256_hex(value text) returns text
language sql immutable parallel safe
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
        || tminus.digest_field('windows', tminus.netstrings(s.windows))
        || tminus.digest_field('local_time', to_char(s.local_time, 'YYYY-MM-DD"T"HH24:MI:SS.US'))
        || tminus.digest_field('stop_starting_at', tminus.api_time(s.stop_starting_at))
        || tminus.digest_field('missed_policy', nullif(s.missed_policy, 'skip'))
        || tminus.digest_field('until', tminus.api_time(s.until))
        || tminus.digest_field('max_launches', s.max_launches::text))
$$;

create function tminus.site_digest(s tminus.sites) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.sha256_hex(
        tminus.digest_field('id', s.id)
        || tminus.digest_field('jump_host', s.jump_host)
        || tminus.digest_field('address', s.address)
        || tminus.digest_field('port', s.port::text)
        || tminus.digest_field('username', s.username)
        || tminus.digest_field('credential', s.credential)
        || tminus.digest_field('host_key', s.host_key))
$$;

create function tminus.combine_digests(row_digest text, site_ids text[], site_digests text[]) returns text
language sql immutable set search_path = pg_catalog, pg_temp
as $$
    select 'tminus1:' || tminus.sha256_hex(
        tminus.netstring('tminus1') || tminus.netstring(row_digest)
        || (select coalesce(string_agg(tminus.netstring(site_id) || tminus.netstring(site_digest), '' order by position), '')
            from unnest(site_ids, site_digests) with ordinality as u (site_id, site_digest, position)))
$$;

create function tminus.site_digests(site_ids text[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select array_agg(tminus.site_digest(s) order by position)
    from unnest(site_ids) with ordinality as u (site_id, position)
    join tminus.sites s on s.id = u.site_id
$$;

-- What an approver quotes. Null if there is no such scheduled script.
create function tminus.digest(id uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select tminus.combine_digests(tminus.row_digest(s), s.sites, tminus.site_digests(s.sites))
    from tminus.scheduled_scripts s
    where s.id = $1
$$;

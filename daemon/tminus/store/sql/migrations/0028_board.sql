-- What the launch board looks things up by.

-- Pages of launches, latest first.
create index launches_by_time on tminus.launches (due_at desc, id desc);

-- How each site of a launch stands: a letter for each, in the order of positions. The board compares two such texts to tell what changed.
--   p pending   c b k x v running: connecting, backing up, checking, executing, verifying
--   C completed   W completed with warnings   F failed   U unknown   S skipped   R found ready by a rehearsal
create function tminus.cells(p_launch uuid) returns text
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(string_agg(
        case r.outcome
            when 'completed' then case when r.warnings = '{}' then 'C' else 'W' end
            when 'failed' then 'F'
            when 'unknown' then 'U'
            when 'skipped' then case when r.reason = 'rehearsed' then 'R' else 'S' end
            when 'pending' then 'p'
            else case r.step when 'backing_up' then 'b' when 'checking' then 'k' when 'executing' then 'x' when 'verifying' then 'v' else 'c' end
        end, '' order by r.position), '')
    from tminus.site_runs r
    where r.launch_id = p_launch
$$;

grant execute on function tminus.cells(uuid) to tminus_gateway;

-- Targets: which sites a scheduled script means, said as a query in place of a list.
--
--   site_query  {"tags": ["edge"], "any_tags": ["berlin", "hamburg"], "not_tags": ["lab"], "version": ">=7.12 <7.20", "model": "RB5009%"}
--
-- All that is given must hold. The query is resolved once, into `sites`, before the scheduled script is authorized; what is
-- authorized, and digested, is that list. The query itself stays beside it as information.

-- The query in its one form. Refuses what is none in a sentence.
create function tminus.plain_site_query(query jsonb) returns jsonb
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    key text;
    value jsonb;
begin
    if jsonb_typeof(query) <> 'object' or query = '{}' then
        raise exception 'site_query is a JSON object that asks for something'
            using errcode = 'check_violation', column = 'site_query', hint = 'For example {"tags": ["edge"], "not_tags": ["lab"], "version": ">=7.12 <8"}.';
    end if;
    for key, value in select q.key, q.value from jsonb_each(query) as q loop
        if key in ('tags', 'any_tags', 'not_tags') then
            if jsonb_typeof(value) <> 'array' or jsonb_array_length(value) not between 1 and 100
                or exists (select from jsonb_array_elements(value) as e where jsonb_typeof(e) <> 'string' or e #>> '{}' !~ '^[^[:cntrl:]]{1,200}$') then
                raise exception 'site_query: % is a list of 1 to 100 tags', key using errcode = 'check_violation', column = 'site_query';
            end if;
        elsif key in ('version', 'model') then
            if jsonb_typeof(value) <> 'string' or value #>> '{}' !~ '^[^[:cntrl:]]{1,200}$' or btrim(value #>> '{}') = '' then
                raise exception 'site_query: % is a text', key using errcode = 'check_violation', column = 'site_query';
            end if;
            if key = 'version' then
                query := query || jsonb_build_object('version', tminus.plain_version_range(value #>> '{}', 'site_query: version'));
            end if;
        else
            raise exception 'site_query: % is nothing to ask for', quote_literal(tminus.printable(key))
                using errcode = 'check_violation', column = 'site_query', hint = 'Ask for tags (all of them), any_tags (one of them), not_tags (none of them), version, or model.';
        end if;
    end loop;
    return (query);
end $$;

-- The enabled sites that a query means now, by id. A site whose version or model is not known yet is in no range and of no model.
create function tminus.matching_sites(query jsonb) returns text[]
language sql stable set search_path = pg_catalog, pg_temp
as $$
    select coalesce(array_agg(s.id order by s.id), '{}')
    from tminus.sites s
    where s.enabled
        and (not query ? 'tags' or s.tags @> array(select jsonb_array_elements_text(query -> 'tags')))
        and (not query ? 'any_tags' or s.tags && array(select jsonb_array_elements_text(query -> 'any_tags')))
        and (not query ? 'not_tags' or not s.tags && array(select jsonb_array_elements_text(query -> 'not_tags')))
        and (not query ? 'version' or tminus.is_version_in(s.version, query ->> 'version'))
        and (not query ? 'model' or lower(s.model) like lower(query ->> 'model') escape '')
$$;

-- Put the sites that the query of a scheduled script means now into its `sites`: before it is authorized, and as often as wanted
-- until then. `by` is the person, or null for the caller: the author, an approver, or a gateway. Returns the scheduled script as
-- the API shows it. Without a query there is nothing to do, and that is no error.
create function tminus.resolve_sites(id uuid, by text default null) returns json
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
    s tminus.scheduled_scripts;
    who text := tminus.principal(resolve_sites.by);
    found_sites text[];
begin
    s := tminus.lock_script(resolve_sites.id);
    if s.created_by <> who and not tminus.oversees() then
        raise exception 'scheduled script % belongs to %, so % may not resolve its sites', s.id, s.created_by, who using errcode = 'insufficient_privilege';
    end if;
    if s.site_query is null then
        return tminus.scheduled_script(s.id);
    end if;
    if s.status <> 'unauthorized' then
        raise exception 'scheduled script % is %; its sites stay as they are', s.id, s.status
            using errcode = 'object_not_in_prerequisite_state', hint = 'An edit resets the authorization; then they can be resolved again.';
    end if;
    found_sites := tminus.matching_sites(s.site_query);
    if cardinality(found_sites) = 0 then
        raise exception 'the site_query of scheduled script % means no site: %', s.id, tminus.printable(s.site_query::text)
            using errcode = 'object_not_in_prerequisite_state', hint = 'No enabled site has all that it asks for. Edit site_query, or the tags of the sites.';
    end if;
    if found_sites is distinct from s.sites then
        update tminus.scheduled_scripts u set sites = found_sites where u.id = s.id;
        perform tminus.record('sites_resolved', who, s.id, null, null,
            jsonb_build_object('query', s.site_query, 'sites', cardinality(found_sites), 'was', cardinality(s.sites)));
    end if;
    return tminus.scheduled_script(s.id);
end $$;

grant execute on function tminus.plain_site_query(jsonb), tminus.matching_sites(jsonb)
    to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant execute on function tminus.resolve_sites(uuid, text) to tminus_author, tminus_approver, tminus_gateway;

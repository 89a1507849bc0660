-- What keeps tests from being run on each of the sites $2 by a daemon that is one of the runners $1. A row for each site; why: null where nothing does.
select w.id, case
    when t.id is null then 'is not in the database'
    when not t.enabled then 'is disabled'
    when not t.allow_tests then 'is not there for tests: its allow_tests is false, which the owner of the schema sets'
    when t.host_key is null then 'has no pinned host key'
    when t.runner is not null and t.runner <> all ($1::text[]) then 'is reached by ''' || t.runner || ''' alone, which this daemon is not'
    end as why
from unnest($2::text[]) with ordinality as w (id, position)
left join tminus.sites t on t.id = w.id
order by w.position

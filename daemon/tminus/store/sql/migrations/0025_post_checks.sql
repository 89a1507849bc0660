-- What has to be true on a router after the script: RouterOS expressions, each of which has to give true there.

-- Refuse what can be no list of expressions. (Whether RouterOS can read them is seen by the daemon, and by each router before its start.)
create function tminus.check_post_checks(p_checks text[]) returns void
language plpgsql immutable set search_path = pg_catalog, pg_temp
as $$
declare
    wrong bigint;
begin
    if array_ndims(p_checks) > 1 or cardinality(p_checks) > 20 then
        raise exception 'post_checks is a plain list of at most 20 expressions' using errcode = 'check_violation', column = 'post_checks';
    end if;
    select u.position into wrong
    from unnest(p_checks) with ordinality as u (value, position)
    where (octet_length(u.value) <= 1000 and u.value ~ '^[^[:cntrl:]]+$' and u.value ~ '[^[:space:]]') is not true
    order by u.position limit 1;
    if found then
        raise exception 'post-check % is no expression: it takes 1 to 1000 bytes, in one line', wrong using errcode = 'check_violation', column = 'post_checks',
            hint = 'Such as: [:len [/ip route find gateway=10.0.0.1]] > 0';
    end if;
end $$;

grant execute on function tminus.check_post_checks(text[]) to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;

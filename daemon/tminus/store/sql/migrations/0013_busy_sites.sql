-- Routers on which a script may still be running although its site run has ended as `unknown`: it did not end within its time,
-- or its session was lost and nothing on the router tells that it is over. No other launch starts there until the daemon has
-- seen that it is over, or a person has resolved the run.

create table tminus.busy_sites (
    site_run_id bigint primary key references tminus.site_runs (id),
    site_id text not null references tminus.sites (id),
    since timestamptz not null default tminus.clock(),
    -- When a daemon looks on the router. The daemon that still listens to the script moves it on.
    look_at timestamptz not null,
    attempts integer not null default 0,
    -- What the latest look found.
    seen text check (octet_length(seen) <= 4000),
    free_at timestamptz,
    free_because text check (octet_length(free_because) <= 4000),
    check ((free_at is null) = (free_because is null))
);
create index busy_sites_by_site on tminus.busy_sites (site_id) where free_at is null;
create index busy_sites_due on tminus.busy_sites (look_at) where free_at is null;
create trigger keep before delete or truncate on tminus.busy_sites for each statement execute function tminus.refuse_delete();

grant select on tminus.busy_sites to tminus_author, tminus_approver, tminus_reader, tminus_gateway, tminus_daemon;
grant insert (site_run_id, site_id, look_at, seen), update (look_at, attempts, seen, free_at, free_because) on tminus.busy_sites to tminus_daemon;

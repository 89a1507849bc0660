-- Store exports, each text once. Per backup $1: site run, $2: phase, $3: sha256, $4: text, $5: header, $6: raw bytes.
with backup as (
    select * from unnest($1::bigint[], $2::text[], $3::bytea[], $4::text[], $5::text[], $6::integer[])
        as b (site_run_id, phase, sha256, text, header, raw_bytes)
), texts as (
    -- In one order, so that two batches with the same new texts cannot deadlock.
    insert into tminus.backup_texts (sha256, text)
    select distinct on (sha256) sha256, text from backup order by sha256
    on conflict do nothing
)
insert into tminus.backups (site_id, launch_id, site_run_id, phase, sha256, header, raw_bytes)
select r.site_id, r.launch_id, r.id, b.phase, b.sha256, b.header, b.raw_bytes
from backup b
join tminus.site_runs r on r.id = b.site_run_id
on conflict (site_run_id, phase) do update
set sha256 = excluded.sha256, header = excluded.header, raw_bytes = excluded.raw_bytes, taken_at = tminus.clock()

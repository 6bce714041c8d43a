-- What do PostgreSQL's statistics say of this database? Among the rollbacks are the gateway's reads, all of them.
SELECT d.datname::text AS database,
    pg_catalog.pg_database_size(d.datid) AS bytes,
    d.numbackends AS connections,
    d.xact_commit AS commits,
    d.xact_rollback AS rollbacks,
    pg_catalog.round(d.blks_hit::numeric / nullif(d.blks_hit + d.blks_read, 0), 4)::float8 AS cache_hit_ratio,
    d.blks_hit + d.blks_read AS blocks_wanted,
    d.tup_returned AS rows_scanned, d.tup_fetched AS rows_fetched,
    d.tup_inserted AS inserted, d.tup_updated AS updated, d.tup_deleted AS deleted,
    d.conflicts, d.deadlocks,
    d.temp_files, d.temp_bytes,
    d.checksum_failures,
    d.sessions_abandoned, d.sessions_fatal, d.sessions_killed,
    pg_catalog.age(b.datfrozenxid) AS xid_age,
    pg_catalog.current_setting('autovacuum_freeze_max_age')::int8 AS freeze_max_age,
    d.stats_reset AS counted_since
FROM pg_catalog.pg_stat_database AS d
JOIN pg_catalog.pg_database AS b ON b.oid = d.datid
WHERE d.datname = pg_catalog.current_database()

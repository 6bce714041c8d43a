-- What maintenance runs, and how far is it? A row for each VACUUM, ANALYZE, CREATE INDEX or REINDEX, CLUSTER or VACUUM
-- FULL, COPY and base backup, of all databases. `done` of `total` are the phase's; a phase that is null is hidden.
WITH running AS (
    SELECT 'vacuum' AS kind, p.pid, p.datname, p.relid, p.phase, 'blocks' AS unit,
           CASE p.phase WHEN 'vacuuming heap' THEN p.heap_blks_vacuumed ELSE p.heap_blks_scanned END AS done,
           p.heap_blks_total AS total, NULL::int AS waits_for
    FROM pg_catalog.pg_stat_progress_vacuum AS p
    UNION ALL
    SELECT 'analyze', p.pid, p.datname, p.relid, p.phase, 'blocks', p.sample_blks_scanned, p.sample_blks_total, NULL
    FROM pg_catalog.pg_stat_progress_analyze AS p
    UNION ALL
    SELECT pg_catalog.lower(p.command), p.pid, p.datname, p.relid, p.phase,
           CASE WHEN pg_catalog.starts_with(p.phase, 'waiting for') THEN 'lockers' WHEN p.tuples_total > 0 THEN 'rows'
                ELSE 'blocks' END,
           CASE WHEN pg_catalog.starts_with(p.phase, 'waiting for') THEN p.lockers_done WHEN p.tuples_total > 0
                THEN p.tuples_done ELSE p.blocks_done END,
           CASE WHEN pg_catalog.starts_with(p.phase, 'waiting for') THEN p.lockers_total WHEN p.tuples_total > 0
                THEN p.tuples_total ELSE p.blocks_total END,
           nullif(p.current_locker_pid, 0)::int
    FROM pg_catalog.pg_stat_progress_create_index AS p
    UNION ALL
    SELECT pg_catalog.lower(p.command), p.pid, p.datname, p.relid, p.phase, 'blocks', p.heap_blks_scanned,
           p.heap_blks_total, NULL
    FROM pg_catalog.pg_stat_progress_cluster AS p
    UNION ALL
    SELECT pg_catalog.lower(p.command), p.pid, p.datname, p.relid, pg_catalog.lower(p.type), 'bytes',
           p.bytes_processed, p.bytes_total, NULL
    FROM pg_catalog.pg_stat_progress_copy AS p
    UNION ALL
    SELECT 'base backup', p.pid, NULL, NULL, p.phase, 'bytes', p.backup_streamed, p.backup_total, NULL
    FROM pg_catalog.pg_stat_progress_basebackup AS p
)
SELECT r.kind, r.pid, r.datname::text AS database,
       pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) AS table,
       r.phase, r.done, r.total, r.unit, r.waits_for, a.usename::text AS user,
       nullif(a.application_name, '') AS application,
       extract(epoch FROM pg_catalog.clock_timestamp() - a.query_start)::float8 AS running_s, r.phase IS NULL AS hidden
FROM running AS r
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = r.pid
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = r.relid AND r.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY a.query_start NULLS LAST, r.pid
LIMIT 200

-- How far is the VACUUM, ANALYZE or REINDEX whose text is $1, and which processes does it wait for? No row if it does not
-- run, or the role may not see it. In every major: what only some of them show is taken from JSON.
SELECT p.phase, p.done, p.total, p.relid::regclass::text AS relation,
    CASE WHEN a.wait_event_type = 'Lock' THEN pg_catalog.pg_blocking_pids(a.pid) END AS waits_for
FROM pg_catalog.pg_stat_activity AS a
LEFT JOIN LATERAL (
    SELECT v.relid, v.phase,
        CASE v.phase
            WHEN 'scanning heap' THEN v.heap_blks_scanned
            WHEN 'vacuuming heap' THEN v.heap_blks_vacuumed
            ELSE (pg_catalog.to_jsonb(v) ->> 'indexes_processed')::int8
        END AS done,
        CASE
            WHEN v.phase IN ('scanning heap', 'vacuuming heap') THEN v.heap_blks_total
            ELSE (pg_catalog.to_jsonb(v) ->> 'indexes_total')::int8
        END AS total
    FROM pg_catalog.pg_stat_progress_vacuum AS v WHERE v.pid = a.pid
    UNION ALL
    SELECT s.relid, s.phase,
        CASE WHEN s.phase LIKE 'acquiring%' THEN s.sample_blks_scanned END,
        CASE WHEN s.phase LIKE 'acquiring%' THEN s.sample_blks_total END
    FROM pg_catalog.pg_stat_progress_analyze AS s WHERE s.pid = a.pid
    UNION ALL
    SELECT f.relid, f.phase,
        CASE WHEN f.phase = 'seq scanning heap' THEN f.heap_blks_scanned END,
        CASE WHEN f.phase = 'seq scanning heap' THEN f.heap_blks_total END
    FROM pg_catalog.pg_stat_progress_cluster AS f WHERE f.pid = a.pid
    UNION ALL
    SELECT coalesce(nullif(x.index_relid, 0), x.relid), x.phase,
        CASE
            WHEN x.phase LIKE 'waiting%' THEN x.lockers_done
            WHEN x.blocks_total > 0 THEN x.blocks_done
            WHEN x.tuples_total > 0 THEN x.tuples_done
        END,
        CASE
            WHEN x.phase LIKE 'waiting%' THEN x.lockers_total
            WHEN x.blocks_total > 0 THEN x.blocks_total
            WHEN x.tuples_total > 0 THEN x.tuples_total
        END
    FROM pg_catalog.pg_stat_progress_create_index AS x WHERE x.pid = a.pid
) AS p ON true
WHERE a.datname = pg_catalog.current_database()
  AND a.query = $1::text AND a.state = 'active' AND a.backend_type = 'client backend'
ORDER BY a.query_start
LIMIT 1

-- What do PostgreSQL's statistics say of the index with the oid $1, and is it valid? That of a partitioned table is all
-- its parts.
WITH parts AS (
    SELECT $1::oid AS oid UNION SELECT relid FROM pg_catalog.pg_partition_tree($1::oid)
),
used AS (
    SELECT pg_catalog.sum(s.idx_scan)::int8 AS scans,
        pg_catalog.max((pg_catalog.to_jsonb(s) ->> 'last_idx_scan')::timestamptz) AS last_scan,
        pg_catalog.sum(s.idx_tup_read)::int8 AS entries_read,
        pg_catalog.sum(s.idx_tup_fetch)::int8 AS rows_fetched,
        pg_catalog.round(
            pg_catalog.sum(io.idx_blks_hit)::numeric
            / nullif(pg_catalog.sum(io.idx_blks_hit) + pg_catalog.sum(io.idx_blks_read), 0), 3)::float8 AS cache_hit_ratio,
        pg_catalog.sum(pg_catalog.pg_relation_size(p.oid))::int8 AS bytes
    FROM parts AS p
    -- OFFSET keeps each of these a question of its own, so that PostgreSQL does not work out the view for all indexes.
    LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.pg_stat_all_indexes AS a WHERE a.indexrelid = p.oid OFFSET 0
    ) AS s ON true
    LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.pg_statio_all_indexes AS a WHERE a.indexrelid = p.oid OFFSET 0
    ) AS io ON true
)
SELECT
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.relname) AS table,
    pg_catalog.pg_get_indexdef(i.indexrelid) AS definition,
    i.indisvalid AS valid, i.indisready AS ready, i.indisunique AS unique, i.indisprimary AS primary,
    i.indisreplident AS replica_identity,
    (SELECT k.conname::text FROM pg_catalog.pg_constraint AS k
     WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x') LIMIT 1) AS constraint,
    used.*,
    pg_catalog.pg_table_size(i.indrelid) AS table_bytes,
    (SELECT d.stats_reset
     FROM pg_catalog.pg_stat_database AS d WHERE d.datname = pg_catalog.current_database()) AS counted_since
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.relnamespace
CROSS JOIN used
WHERE i.indexrelid = $1::oid

-- What do PostgreSQL's statistics say of the table with the oid $1? A partitioned table is all its partitions. How much
-- room its rows should take is estimated from the widths in pg_stats, where the role may read all its columns' there.
WITH parts AS (
    SELECT c.oid, c.relname, c.reltuples, c.relfrozenxid, c.relkind, c.reloptions,
        (SELECT n.nspname FROM pg_catalog.pg_namespace AS n WHERE n.oid = c.relnamespace) AS schema
    FROM (SELECT $1::oid AS oid UNION SELECT relid FROM pg_catalog.pg_partition_tree($1::oid)) AS one
    JOIN pg_catalog.pg_class AS c ON c.oid = one.oid
),
options AS (
    SELECT p.oid, pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_threshold') AS threshold,
        pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_vacuum_scale_factor') AS factor,
        pg_catalog.max(o.option_value) FILTER (WHERE o.option_name = 'autovacuum_enabled') AS enabled
    FROM parts AS p CROSS JOIN LATERAL pg_catalog.pg_options_to_table(p.reloptions) AS o
    GROUP BY p.oid
)
SELECT
    nullif(pg_catalog.count(*) FILTER (WHERE p.oid <> $1::oid AND p.relkind <> 'p'), 0) AS partitions,
    pg_catalog.sum(greatest(p.reltuples, 0)) FILTER (WHERE p.relkind <> 'p')::int8 AS estimated_rows,
    pg_catalog.sum(t.n_live_tup)::int8 AS live_tuples,
    pg_catalog.sum(t.n_dead_tup)::int8 AS dead_tuples,
    pg_catalog.sum(
        coalesce(o.threshold, pg_catalog.current_setting('autovacuum_vacuum_threshold'))::float8
        + coalesce(o.factor, pg_catalog.current_setting('autovacuum_vacuum_scale_factor'))::float8
        * greatest(p.reltuples, 0)
    ) FILTER (WHERE p.relkind <> 'p')::int8 AS autovacuum_at_dead_tuples,
    pg_catalog.bool_and(
        pg_catalog.current_setting('autovacuum')::bool AND coalesce(o.enabled::bool, true)
    ) AS autovacuum,
    pg_catalog.sum(t.seq_scan)::int8 AS seq_scans,
    pg_catalog.sum(t.seq_tup_read)::int8 AS seq_rows_read,
    pg_catalog.sum(t.idx_scan)::int8 AS index_scans,
    pg_catalog.sum(t.idx_tup_fetch)::int8 AS index_rows_fetched,
    pg_catalog.sum(t.n_tup_ins)::int8 AS inserted,
    pg_catalog.sum(t.n_tup_upd)::int8 AS updated,
    pg_catalog.sum(t.n_tup_del)::int8 AS deleted,
    pg_catalog.round(pg_catalog.sum(t.n_tup_hot_upd)::numeric / nullif(pg_catalog.sum(t.n_tup_upd), 0), 3)::float8
        AS hot_update_ratio,
    pg_catalog.sum(t.n_mod_since_analyze)::int8 AS changed_since_analyze,
    pg_catalog.round(
        (pg_catalog.sum(io.heap_blks_hit) + pg_catalog.sum(io.idx_blks_hit))::numeric / nullif(
            pg_catalog.sum(io.heap_blks_hit) + pg_catalog.sum(io.heap_blks_read)
            + pg_catalog.sum(io.idx_blks_hit) + pg_catalog.sum(io.idx_blks_read), 0), 3)::float8 AS cache_hit_ratio,
    pg_catalog.max(t.last_vacuum) AS last_vacuum,
    pg_catalog.max(t.last_autovacuum) AS last_autovacuum,
    pg_catalog.max(t.last_analyze) AS last_analyze,
    pg_catalog.max(t.last_autoanalyze) AS last_autoanalyze,
    pg_catalog.sum(t.vacuum_count + t.autovacuum_count)::int8 AS vacuums,
    pg_catalog.sum(t.analyze_count + t.autoanalyze_count)::int8 AS analyzes,
    pg_catalog.max(CASE WHEN p.relfrozenxid <> '0' THEN pg_catalog.age(p.relfrozenxid) END) AS xid_age,
    pg_catalog.current_setting('autovacuum_freeze_max_age')::int8 AS freeze_max_age,
    pg_catalog.sum(pg_catalog.pg_relation_size(p.oid))::int8 AS heap_bytes,
    pg_catalog.sum(pg_catalog.pg_table_size(p.oid) - pg_catalog.pg_relation_size(p.oid))::int8 AS toast_bytes,
    pg_catalog.sum(pg_catalog.pg_indexes_size(p.oid))::int8 AS index_bytes,
    pg_catalog.sum(pg_catalog.pg_total_relation_size(p.oid))::int8 AS total_bytes,
    -- A row has a header of 24 bytes and a pointer of 4, and a page one of 24.
    CASE WHEN pg_catalog.bool_and(NOT w.unknown) FILTER (WHERE p.reltuples > 0 AND p.relkind <> 'p') THEN
        pg_catalog.sum(
            pg_catalog.ceil(p.reltuples * (28 + w.width) / (pg_catalog.current_setting('block_size')::int8 - 24))
            * pg_catalog.current_setting('block_size')::int8
        ) FILTER (WHERE p.reltuples > 0 AND p.relkind <> 'p')::int8
    END AS expected_heap_bytes
FROM parts AS p
LEFT JOIN options AS o ON o.oid = p.oid
-- OFFSET keeps each of these a question of its own, so that PostgreSQL does not work out the view for all tables.
LEFT JOIN LATERAL (
    SELECT pg_catalog.sum((1 - s.null_frac) * s.avg_width) AS width,
        pg_catalog.count(*) < (
            SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
        ) AS unknown
    FROM (
        SELECT * FROM pg_catalog.pg_stats AS s
        WHERE s.schemaname = p.schema AND s.tablename = p.relname AND NOT s.inherited OFFSET 0
    ) AS s
) AS w ON p.relkind <> 'p'
LEFT JOIN LATERAL (
    SELECT * FROM pg_catalog.pg_stat_all_tables AS s WHERE s.relid = p.oid OFFSET 0
) AS t ON p.relkind <> 'p'
LEFT JOIN LATERAL (
    SELECT * FROM pg_catalog.pg_statio_all_tables AS s WHERE s.relid = p.oid OFFSET 0
) AS io ON p.relkind <> 'p'

-- How much is in what $1 (table, index, schema or database) and its oid $2 name, and when was it last looked after?
-- A partitioned table is all its partitions. An index is counted by itself; of a database, sizes are told as a whole only,
-- since those of its tables can't be had while one of them is locked.
WITH tables AS (
    SELECT c.oid, c.relfilenode, c.reltuples
    FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'm') AND CASE $1::text
        WHEN 'table' THEN c.oid = $2::oid OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($2::oid))
        WHEN 'schema' THEN c.relnamespace = $2::oid
        WHEN 'database' THEN c.relnamespace NOT IN (
            SELECT oid FROM pg_catalog.pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema'
        )
        ELSE false
    END
)
SELECT
    CASE WHEN $1 <> 'index' THEN pg_catalog.count(*) END AS tables,
    pg_catalog.sum(greatest(t.reltuples, 0))::int8 AS estimated_rows,
    pg_catalog.sum(pg_catalog.pg_stat_get_live_tuples(t.oid))::int8 AS live_tuples,
    pg_catalog.sum(pg_catalog.pg_stat_get_dead_tuples(t.oid))::int8 AS dead_tuples,
    CASE WHEN $1 IN ('table', 'schema') THEN pg_catalog.sum(pg_catalog.pg_table_size(t.oid))::int8 END AS table_bytes,
    CASE
        WHEN $1 IN ('table', 'schema') THEN pg_catalog.sum(pg_catalog.pg_indexes_size(t.oid))::int8
        WHEN $1 = 'index' THEN (
            SELECT pg_catalog.sum(pg_catalog.pg_relation_size(i.oid))::int8
            FROM pg_catalog.pg_class AS i
            WHERE i.relkind = 'i'
              AND (i.oid = $2::oid OR i.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree($2::oid)))
        )
    END AS index_bytes,
    CASE WHEN $1 = 'database' THEN pg_catalog.pg_database_size(pg_catalog.current_database()) END AS database_bytes,
    pg_catalog.max(pg_catalog.pg_stat_get_last_vacuum_time(t.oid)) AS last_vacuum,
    pg_catalog.max(pg_catalog.pg_stat_get_last_autovacuum_time(t.oid)) AS last_autovacuum,
    pg_catalog.max(pg_catalog.pg_stat_get_last_analyze_time(t.oid)) AS last_analyze,
    pg_catalog.max(pg_catalog.pg_stat_get_last_autoanalyze_time(t.oid)) AS last_autoanalyze,
    pg_catalog.sum(pg_catalog.pg_stat_get_vacuum_count(t.oid))::int8 AS vacuums,
    pg_catalog.sum(pg_catalog.pg_stat_get_analyze_count(t.oid))::int8 AS analyzes,
    CASE WHEN $1 = 'table' THEN pg_catalog.array_agg(t.relfilenode::int8 ORDER BY t.oid) END AS files
FROM tables AS t

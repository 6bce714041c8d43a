-- How large are the database, its schemas, and the tables of schema $1, or of all? The $2 largest of each; in bytes.
-- A table counts with its indexes, its TOAST table and its partitions. To measure is to take a lock: what another has
-- locked against that is not waited for, but told by its last VACUUM or ANALYZE, and `estimated` counts it.
WITH locked AS MATERIALIZED (
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_catalog.pg_backend_pid()
), closed AS MATERIALIZED (
    SELECT relation FROM locked
    UNION SELECT i.indrelid FROM pg_catalog.pg_index AS i JOIN locked ON locked.relation = i.indexrelid
    UNION SELECT c.oid FROM pg_catalog.pg_class AS c JOIN locked ON locked.relation = c.reltoastrelid
), members AS MATERIALIZED (
    SELECT c.oid, c.relnamespace, c.relispartition, c.reltuples, c.reltoastrelid,
           CASE WHEN c.relispartition THEN coalesce(pg_catalog.pg_partition_root(c.oid), c.oid) ELSE c.oid END AS root,
           CASE WHEN x.relation IS NULL THEN coalesce(pg_catalog.pg_total_relation_size(c.oid), 0)
                ELSE e.bytes END AS bytes,
           x.relation IS NOT NULL AS estimated, e.toast, e.indexes
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN closed AS x ON x.relation = c.oid
    LEFT JOIN LATERAL (
        SELECT b.size * (c.relpages + coalesce(t.pages, 0) + coalesce(i.pages, 0)) AS bytes,
               b.size * coalesce(t.pages, 0) AS toast, b.size * coalesce(i.pages, 0) AS indexes
        FROM (SELECT pg_catalog.current_setting('block_size')::bigint AS size) AS b
        CROSS JOIN LATERAL (
            SELECT pg_catalog.sum(k.relpages)::bigint AS pages FROM pg_catalog.pg_class AS k
            WHERE k.oid = c.reltoastrelid
        ) AS t
        CROSS JOIN LATERAL (
            SELECT pg_catalog.sum(k.relpages)::bigint AS pages FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS k ON k.oid = i.indexrelid WHERE i.indrelid = c.oid
        ) AS i
    ) AS e ON x.relation IS NOT NULL
    WHERE c.relkind IN ('r', 'm') AND NOT pg_catalog.starts_with(n.nspname, 'pg_')
      AND n.nspname <> 'information_schema' AND ($1::text IS NULL OR n.nspname = $1)
), largest AS MATERIALIZED (
    SELECT root, pg_catalog.sum(bytes)::bigint AS bytes, pg_catalog.sum(greatest(reltuples, 0))::bigint AS rows,
           pg_catalog.count(*) FILTER (WHERE relispartition) AS partitions, pg_catalog.bool_or(estimated) AS estimated
    FROM members GROUP BY root ORDER BY bytes DESC, root LIMIT $2::int
), parts AS (
    -- Only of these, since each figure means to ask the file system.
    SELECT m.root,
           pg_catalog.sum(CASE WHEN m.estimated THEN m.toast WHEN m.reltoastrelid = 0 THEN 0
                          ELSE pg_catalog.pg_total_relation_size(m.reltoastrelid) END)::bigint AS toast,
           pg_catalog.sum(CASE WHEN m.estimated THEN m.indexes
                          ELSE pg_catalog.pg_indexes_size(m.oid) END)::bigint AS indexes
    FROM members AS m JOIN largest ON largest.root = m.root GROUP BY m.root
)
SELECT pg_catalog.current_database()::text AS database,
       pg_catalog.pg_database_size(pg_catalog.current_database()) AS bytes,
       (SELECT pg_catalog.count(DISTINCT root) FROM members) AS found,
       (SELECT pg_catalog.count(*) FROM members WHERE estimated) AS estimated,
       EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1) AS is_schema,
       (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)), '[]') FROM (
           SELECT n.nspname AS schema, pg_catalog.sum(m.bytes)::bigint AS bytes, pg_catalog.count(*) AS tables
           FROM members AS m JOIN pg_catalog.pg_namespace AS n ON n.oid = m.relnamespace
           GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $2::int
       ) AS s) AS schemas,
       (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t)), '[]') FROM (
           SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) AS table, l.bytes,
                  greatest(l.bytes - p.toast - p.indexes, 0) AS heap, p.toast, p.indexes, l.rows, l.partitions,
                  l.estimated
           FROM largest AS l
           JOIN parts AS p ON p.root = l.root
           JOIN pg_catalog.pg_class AS c ON c.oid = l.root
           JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
           ORDER BY l.bytes DESC, 1
       ) AS t) AS tables

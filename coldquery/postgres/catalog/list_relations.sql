-- Which tables, views, sequences or indexes are there? $1: the letters of pg_class.relkind; $2: in this schema; $3: only
-- those whose name or comment is LIKE this; $4, $5: how many, after how many; $6: with what they take on disk, which
-- costs a look at each file; $7: little else than their names. The first row is about all of them, the others are one
-- for each.
-- A partition counts with its parent and is no item of its own. Without $2 those of the system are left out.
WITH RECURSIVE matching AS MATERIALIZED (
    SELECT c.oid, n.nspname AS schema, c.relname AS name
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = ANY ($1::text[]::"char"[]) AND NOT c.relispartition
      AND ($2::text IS NULL OR n.nspname = $2)
      AND ($2 IS NOT NULL OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
      AND (n.nspname !~ '^pg_(toast|temp_)' OR n.oid = pg_catalog.pg_my_temp_schema() OR n.nspname = $2)
      AND ($3::text IS NULL OR c.relname ILIKE $3 OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = c.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $3)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.schema, m.name) AS place
    FROM matching AS m ORDER BY m.schema, m.name LIMIT $4::bigint OFFSET $5::bigint
), locked AS MATERIALIZED (
    -- To measure these would mean to wait for somebody else.
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE $6::boolean AND l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
      AND l.pid <> pg_catalog.pg_backend_pid()
), members AS (
    -- Each itself, and the partitions of those that have any, all the way down.
    SELECT p.oid AS root, p.oid AS member FROM page AS p WHERE $6 OR NOT $7::boolean
    UNION ALL
    SELECT m.root, i.inhrelid
    FROM members AS m
    JOIN pg_catalog.pg_class AS c ON c.oid = m.member AND c.relkind IN ('p', 'I')
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.member
), sums AS (
    SELECT m.root,
           pg_catalog.count(*) FILTER (WHERE m.member <> m.root AND c.relkind NOT IN ('p', 'I')) AS partitions,
           pg_catalog.sum(c.reltuples) FILTER (WHERE c.relkind IN ('r', 'm', 'f') AND c.reltuples >= 0) AS rows,
           pg_catalog.sum(
               CASE WHEN c.relkind IN ('i', 'S') THEN pg_catalog.pg_relation_size(c.oid)
                    ELSE pg_catalog.pg_total_relation_size(c.oid) END
           ) FILTER (
               WHERE $6 AND c.relkind IN ('r', 'm', 'i', 'S') AND c.oid NOT IN (SELECT l.relation FROM locked AS l)
           ) AS size_bytes
    FROM members AS m
    JOIN pg_catalog.pg_class AS c ON c.oid = m.member
    GROUP BY 1
)
SELECT 0 AS place, NULL::oid AS oid, pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching),
    'schemas', (SELECT pg_catalog.count(DISTINCT m.schema) FROM matching AS m),
    'by_schema', (
        SELECT pg_catalog.json_object_agg(pg_catalog.quote_ident(s.schema), s.count ORDER BY s.count DESC, s.schema)
        FROM (
            SELECT m.schema, pg_catalog.count(*) FROM matching AS m GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 30
        ) AS s
    )
) AS item
UNION ALL
SELECT p.place, p.oid, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', p.schema, p.name),
    'size_bytes', s.size_bytes,
    'table', CASE WHEN c.relkind IN ('i', 'I') THEN (
        SELECT pg_catalog.format('%I.%I', p.schema, t.relname)  -- an index is in its table's schema
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
        WHERE i.indexrelid = c.oid
    ) END,
    'more', CASE WHEN NOT $7 THEN pg_catalog.json_build_object(
        'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
                               WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                               WHEN 'I' THEN 'partitioned index' ELSE 'index' END,
        'persistence', CASE c.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,
        'rows', CASE WHEN c.relkind IN ('r', 'm', 'f', 'p') THEN s.rows::bigint END,
        'columns', CASE WHEN c.relkind NOT IN ('S', 'i', 'I') THEN (
            SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ) END,
        'partitions', CASE WHEN c.relkind IN ('p', 'I') THEN s.partitions END,
        'unpopulated', nullif(NOT c.relispopulated, false),
        'definition', CASE WHEN c.relkind IN ('i', 'I') THEN (
            SELECT CASE WHEN i.indisunique THEN 'unique ' ELSE '' END || pg_catalog.substr(
                x.definition, pg_catalog.strpos(x.definition, ' USING ' || am.amname || ' (') + 7, 201
            )
            FROM pg_catalog.pg_index AS i
            CROSS JOIN pg_catalog.pg_get_indexdef(i.indexrelid) AS x (definition)
            JOIN pg_catalog.pg_am AS am ON am.oid = c.relam
            WHERE i.indexrelid = c.oid
        ) END,
        'invalid', CASE WHEN c.relkind IN ('i', 'I') THEN (
            SELECT true FROM pg_catalog.pg_index AS i WHERE i.indexrelid = c.oid AND NOT i.indisvalid
        ) END,
        'scans', CASE WHEN c.relkind = 'i' THEN pg_catalog.pg_stat_get_numscans(c.oid) END,
        'last_value', CASE WHEN c.relkind = 'S' AND pg_catalog.has_sequence_privilege(c.oid, 'USAGE, SELECT')
                           THEN pg_catalog.pg_sequence_last_value(c.oid) END,
        'owned_by', CASE WHEN c.relkind = 'S' THEN (
            SELECT pg_catalog.format('%I.%I.%I', tn.nspname, t.relname, a.attname)
            FROM pg_catalog.pg_depend AS d
            JOIN pg_catalog.pg_class AS t ON t.oid = d.refobjid
            JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
              AND d.refclassid = d.classid
            LIMIT 1
        ) END,
        'comment', pg_catalog.left((
            SELECT cd.description FROM pg_catalog.pg_description AS cd
            WHERE cd.objoid = c.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
        ), 301)
    ) END
))
FROM page AS p
JOIN pg_catalog.pg_class AS c ON c.oid = p.oid
LEFT JOIN sums AS s ON s.root = p.oid
ORDER BY 1

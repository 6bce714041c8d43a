-- Which indexes are there? $1: in this schema; $2: only those whose name or comment is LIKE this; $3, $4: how many, after
-- how many; $5: with what they take on disk, which costs a look at each file; $6: little else than their names. The first
-- row is about all of them, each further one has 50 of them. Without $1 those of the system are left out.
-- A partition's counts with that of its parent and is no item of its own.
WITH RECURSIVE matching AS MATERIALIZED (
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition
      AND ($1::text IS NULL OR n.nspname = $1)
      AND ($1 IS NOT NULL OR n.nspname NOT IN ('pg_catalog', 'information_schema'))
      AND (n.nspname !~ '^pg_(toast|temp_)' OR n.oid = pg_catalog.pg_my_temp_schema() OR n.nspname = $1)
      AND ($2::text IS NULL OR c.relname ILIKE $2 OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = c.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.schema, m.name) AS place
    FROM (SELECT * FROM matching ORDER BY schema, name LIMIT $3::bigint OFFSET $4::bigint) AS m
), locked AS MATERIALIZED (
    -- To measure these would mean to wait for somebody else.
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE $5::boolean AND l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
      AND l.pid <> pg_catalog.pg_backend_pid()
), members AS (
    -- What has partitions is all of them, all the way down. Only to measure are the others of interest.
    SELECT p.oid AS root, p.oid, p.relkind FROM page AS p WHERE $5 OR p.relkind = 'I' AND NOT $6::boolean
    UNION ALL
    SELECT m.root, c.oid, c.relkind
    FROM members AS m
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
    WHERE m.relkind = 'I'
), sums AS (
    SELECT m.root,
           pg_catalog.count(*) FILTER (WHERE m.relkind <> 'I') AS partitions,
           pg_catalog.sum(pg_catalog.pg_relation_size(m.oid)) FILTER (
               WHERE $5 AND m.relkind = 'i' AND m.oid NOT IN (SELECT l.relation FROM locked AS l)
           ) AS size_bytes
    FROM members AS m
    GROUP BY 1
)
SELECT 0 AS number, NULL::oid[] AS oids, (
    SELECT pg_catalog.json_build_object(
        'total', coalesce(pg_catalog.sum(s.count), 0), 'schemas', pg_catalog.count(*),
        'by_schema', pg_catalog.json_object_agg(pg_catalog.quote_ident(s.schema), s.count ORDER BY s.place)
                     FILTER (WHERE s.place <= 30)
    )
    FROM (
        SELECT m.schema, pg_catalog.count(*),
               pg_catalog.row_number() OVER (ORDER BY pg_catalog.count(*) DESC, m.schema) AS place
        FROM matching AS m GROUP BY m.schema
    ) AS s
) AS items
UNION ALL
SELECT (p.place - 1) / 50 + 1, pg_catalog.array_agg(p.oid ORDER BY p.place),
       pg_catalog.json_strip_nulls(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', pg_catalog.format('%I.%I', p.schema, p.name),
    'table', pg_catalog.format('%I.%I', p.schema, t.relname),  -- an index is in its table's schema
    'kind', CASE p.relkind WHEN 'I' THEN 'partitioned index' END,
    'partitions', CASE p.relkind WHEN 'I' THEN s.partitions END,
    'definition', CASE WHEN NOT $6 THEN (
        SELECT CASE WHEN i.indisunique THEN 'unique ' ELSE '' END || pg_catalog.substr(
            d.definition, pg_catalog.strpos(d.definition, ' USING ' || a.amname || ' (') + 7, 201
        )
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_am AS a ON a.oid = c.relam
        CROSS JOIN pg_catalog.pg_get_indexdef(i.indexrelid) AS d (definition)
        WHERE c.oid = i.indexrelid
    ) END,
    'invalid', nullif(NOT i.indisvalid, false),
    'scans', CASE WHEN p.relkind = 'i' AND NOT $6 THEN pg_catalog.pg_stat_get_numscans(p.oid) END,
    'comment', CASE WHEN NOT $6 THEN pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301) END,
    'size_bytes', s.size_bytes
) ORDER BY p.place))
FROM page AS p
JOIN pg_catalog.pg_index AS i ON i.indexrelid = p.oid
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
LEFT JOIN sums AS s ON s.root = p.oid
GROUP BY 1
ORDER BY 1

-- Which tables, views, sequences or indexes are there? $1: the letters of pg_class.relkind; $2: in this schema; $3: only
-- those whose name or comment is LIKE this; $4, $5: how many, after how many; $6: with what they take on disk, which
-- costs a look at each file; $7: little else than their names. The first row is about all of them, each further one has
-- 50 of them, since a row for each costs more than what is in it.
-- A partition counts with its parent and is no item of its own. Without $2 those of the system are left out.
WITH matching AS MATERIALIZED (
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind, c.relpersistence, c.relispopulated, c.reltuples
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
    FROM (SELECT * FROM matching ORDER BY schema, name LIMIT $4::bigint OFFSET $5::bigint) AS m
), locked AS MATERIALIZED (
    -- To measure these would mean to wait for somebody else.
    SELECT l.relation FROM pg_catalog.pg_locks AS l
    WHERE $6::boolean AND l.mode = 'AccessExclusiveLock' AND l.relation IS NOT NULL
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
      AND l.pid <> pg_catalog.pg_backend_pid()
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
       pg_catalog.json_strip_nulls(pg_catalog.json_agg(CASE
    WHEN $7::boolean AND NOT $6 AND p.relkind NOT IN ('i', 'I') THEN pg_catalog.to_json(t.name)
    WHEN $7 THEN pg_catalog.json_build_object(
        'name', t.name,
        'table', CASE WHEN p.relkind IN ('i', 'I') THEN (
            SELECT pg_catalog.format('%I.%I', p.schema, c.relname)  -- an index is in its table's schema
            FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
            WHERE i.indexrelid = p.oid
        ) END,
        'size_bytes', s.size_bytes
    )
    WHEN p.relkind IN ('i', 'I') THEN (
        SELECT pg_catalog.json_build_object(
            'name', t.name,
            'table', pg_catalog.format('%I.%I', p.schema, c.relname),
            'kind', CASE p.relkind WHEN 'I' THEN 'partitioned index' END,
            'partitions', CASE p.relkind WHEN 'I' THEN s.partitions END,
            'definition', CASE WHEN i.indisunique THEN 'unique ' ELSE '' END || pg_catalog.substr(
                d.definition, pg_catalog.strpos(d.definition, ' USING ' || a.amname || ' (') + 7, 201
            ),
            'invalid', nullif(NOT i.indisvalid, false),
            'scans', CASE p.relkind WHEN 'i' THEN pg_catalog.pg_stat_get_numscans(p.oid) END,
            'comment', t.comment, 'size_bytes', s.size_bytes
        )
        FROM pg_catalog.pg_index AS i
        JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid
        JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
        JOIN pg_catalog.pg_am AS a ON a.oid = x.relam
        CROSS JOIN pg_catalog.pg_get_indexdef(i.indexrelid) AS d (definition)
        WHERE i.indexrelid = p.oid
    )
    WHEN p.relkind = 'S' THEN pg_catalog.json_build_object(
        'name', t.name,
        'persistence', t.persistence,
        'last_value', CASE WHEN pg_catalog.has_sequence_privilege(p.oid, 'USAGE, SELECT')
                           THEN pg_catalog.pg_sequence_last_value(p.oid) END,
        'owned_by', (
            SELECT pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname)
            FROM pg_catalog.pg_depend AS d
            JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
            JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
            WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype IN ('a', 'i')
              AND d.refclassid = d.classid
            LIMIT 1
        ),
        'comment', t.comment, 'size_bytes', s.size_bytes
    )
    ELSE (
        SELECT pg_catalog.row_to_json(r)  -- the fastest, and there may be 2,000 of these
        FROM (
            SELECT t.name,
                   CASE p.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
                                  WHEN 'v' THEN 'view' ELSE 'materialized view' END AS kind,
                   t.persistence,
                   CASE WHEN p.relkind <> 'v' THEN coalesce(s.rows, nullif(p.reltuples, -1))::bigint END AS rows,
                   (
                       SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
                       WHERE a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
                   ) AS columns,
                   CASE p.relkind WHEN 'p' THEN s.partitions END AS partitions,
                   nullif(NOT p.relispopulated, false) AS unpopulated,
                   t.comment, s.size_bytes
        ) AS r
    )
END ORDER BY p.place))
FROM page AS p
CROSS JOIN LATERAL (
    SELECT pg_catalog.format('%I.%I', p.schema, p.name) AS name,
           CASE p.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END AS persistence,
           pg_catalog.left((
               SELECT cd.description FROM pg_catalog.pg_description AS cd
               WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
           ), 301) AS comment
) AS t
CROSS JOIN LATERAL (
    -- What has partitions is all of them, all the way down.
    WITH RECURSIVE members AS (
        SELECT p.oid, p.relkind, p.reltuples
        UNION ALL
        SELECT c.oid, c.relkind, c.reltuples
        FROM members AS m
        JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.oid
        JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
        WHERE m.relkind IN ('p', 'I')
    )
    SELECT pg_catalog.count(*) FILTER (WHERE m.relkind NOT IN ('p', 'I')) AS partitions,
           pg_catalog.sum(m.reltuples) FILTER (WHERE m.relkind IN ('r', 'm', 'f') AND m.reltuples >= 0) AS rows,
           pg_catalog.sum(
               CASE WHEN m.relkind IN ('i', 'S') THEN pg_catalog.pg_relation_size(m.oid)
                    ELSE pg_catalog.pg_total_relation_size(m.oid) END
           ) FILTER (
               WHERE $6 AND m.relkind IN ('r', 'm', 'i', 'S') AND m.oid NOT IN (SELECT l.relation FROM locked AS l)
           ) AS size_bytes
    FROM members AS m
    WHERE $6 OR p.relkind IN ('p', 'I') AND NOT $7
) AS s
GROUP BY 1
ORDER BY 1

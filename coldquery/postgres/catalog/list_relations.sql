-- Which tables and views are there? $1: the letters of pg_class.relkind; $2: in this schema; $3: only those whose name or
-- comment is LIKE this; $4, $5: how many, after how many; $6: with what they take on disk, which costs a look at each
-- file; $7: little else than their names. The first row is about all of them, each further one has 400 of them: a column
-- of all of these in each list, since there may be 2,000 and an object for each costs more than what is in it.
-- A partition counts with its parent and is no item of its own. Without $2 those of the system are left out.
WITH matching AS MATERIALIZED (
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind, c.relpersistence, c.relispopulated, c.reltuples,
           c.relnatts
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    -- A sub-select is cast once, and not for each row.
    WHERE c.relkind = ANY ((SELECT $1::text[]::"char"[])::"char"[]) AND NOT c.relispartition
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
SELECT p.chunk, pg_catalog.array_agg(p.oid), pg_catalog.json_build_object(
    'name', pg_catalog.json_agg(pg_catalog.format('%I.%I', p.schema, p.name)),
    'kind', pg_catalog.json_agg(
        CASE p.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'f' THEN 'foreign table'
                       WHEN 'v' THEN 'view' ELSE 'materialized view' END
    ) FILTER (WHERE NOT $7::boolean),
    'persistence', pg_catalog.json_agg(CASE p.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END)
                   FILTER (WHERE NOT $7),
    'rows', pg_catalog.json_agg(CASE WHEN p.relkind <> 'v' THEN coalesce(p.rows, nullif(p.reltuples, -1))::bigint END)
            FILTER (WHERE NOT $7),
    -- A dropped one keeps its number, and an index has it by the name that PostgreSQL gave it then. So those that have any
    -- are found at once, and of the others nothing need be read.
    'columns', pg_catalog.json_agg(p.relnatts - CASE WHEN p.oid = ANY (ARRAY(
        SELECT a.attrelid FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = ANY (ARRAY(SELECT p.oid FROM page AS p)) AND a.attisdropped
          AND a.attname BETWEEN '........pg.dropped.' AND '........pg.dropped/'
    )) THEN (
        SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = p.oid AND a.attisdropped
    ) ELSE 0 END) FILTER (WHERE NOT $7),
    'partitions', pg_catalog.json_agg(CASE p.relkind WHEN 'p' THEN p.partitions END) FILTER (WHERE NOT $7),
    'unpopulated', pg_catalog.json_agg(nullif(NOT p.relispopulated, false)) FILTER (WHERE NOT $7),
    'comment', pg_catalog.json_agg(pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301)) FILTER (WHERE NOT $7),
    'size_bytes', pg_catalog.json_agg(p.size_bytes) FILTER (WHERE $6)
)
FROM (
    -- Sorted here once, and not for each list.
    SELECT p.*, (p.place - 1) / 400 + 1 AS chunk, s.*
    FROM page AS p
    CROSS JOIN LATERAL (
        -- What has partitions is all of them, all the way down.
        WITH RECURSIVE members AS (
            SELECT p.oid, p.relkind, p.reltuples
            UNION ALL
            SELECT c.oid, c.relkind, c.reltuples
            FROM members AS m
            JOIN pg_catalog.pg_inherits AS i ON i.inhparent = m.oid
            JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid
            WHERE m.relkind = 'p'
        )
        SELECT pg_catalog.count(*) FILTER (WHERE m.relkind <> 'p') AS partitions,
               pg_catalog.sum(m.reltuples) FILTER (WHERE m.relkind IN ('r', 'm', 'f') AND m.reltuples >= 0) AS rows,
               pg_catalog.sum(pg_catalog.pg_total_relation_size(m.oid)) FILTER (
                   WHERE $6 AND m.relkind IN ('r', 'm') AND m.oid NOT IN (SELECT l.relation FROM locked AS l)
               ) AS size_bytes
        FROM members AS m
        WHERE $6 OR p.relkind = 'p' AND NOT $7
    ) AS s
    ORDER BY chunk, place
) AS p
GROUP BY 1
ORDER BY 1

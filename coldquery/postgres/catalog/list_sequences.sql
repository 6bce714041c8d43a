-- Which sequences are there? $1: in this schema; $2: only those whose name or comment is LIKE this; $3, $4: how many, after
-- how many; $5: with what they take on disk, which costs a look at each file; $6: little else than their names. The first
-- row is about all of them, each further one has 50 of them. Without $1 those of the system are left out.
WITH matching AS MATERIALIZED (
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relpersistence
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S'
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
    'persistence', CASE p.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END,
    'last_value', CASE WHEN NOT $6::boolean AND pg_catalog.has_sequence_privilege(p.oid, 'USAGE, SELECT')
                       THEN pg_catalog.pg_sequence_last_value(p.oid) END,
    'owned_by', CASE WHEN NOT $6 THEN (
        SELECT pg_catalog.format('%I.%I.%I', n.nspname, c.relname, a.attname)
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_class AS c ON c.oid = d.refobjid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype IN ('a', 'i')
          AND d.refclassid = d.classid
        LIMIT 1
    ) END,
    'comment', CASE WHEN NOT $6 THEN pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_class'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301) END,
    'size_bytes', CASE WHEN $5 AND p.oid NOT IN (SELECT l.relation FROM locked AS l)
                       THEN pg_catalog.pg_relation_size(p.oid) END
) ORDER BY p.place))
FROM page AS p
GROUP BY 1
ORDER BY 1

-- Which functions, procedures and aggregates are there? $1: in this schema; $2: only those whose name or comment is LIKE
-- this; $3, $4: how many, after how many. The first row is about all of them, each further one has 50 of them, every
-- overload by itself. Without $1 those of the system are left out.
WITH matching AS MATERIALIZED (
    SELECT f.oid, n.nspname AS schema, f.proname AS name
    FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE ($1::text IS NULL OR n.nspname = $1)
      AND ($1 IS NOT NULL OR n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)')
      AND ($2::text IS NULL OR f.proname ILIKE $2 OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = f.oid AND cd.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.schema, m.name, m.oid) AS place
    FROM (SELECT * FROM matching ORDER BY schema, name, oid LIMIT $3::bigint OFFSET $4::bigint) AS m
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
    'name', pg_catalog.format('%I.%I(%s)', p.schema, p.name, pg_catalog.oidvectortypes(f.proargtypes)),
    'kind', CASE f.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window' END,
    'returns', pg_catalog.left(pg_catalog.pg_get_function_result(p.oid), 300),
    'language', CASE WHEN f.prokind <> 'a' THEN l.lanname END,
    'security_definer', nullif(f.prosecdef, false),
    'extension', (
        SELECT e.extname FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
    ),
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301)
) ORDER BY p.place))
FROM page AS p
JOIN pg_catalog.pg_proc AS f ON f.oid = p.oid
JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
GROUP BY 1
ORDER BY 1

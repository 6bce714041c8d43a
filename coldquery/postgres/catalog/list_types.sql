-- Which enums, domains, composite types, ranges and base types are there? $1: in this schema; $2: only those whose name
-- or comment is LIKE this; $3, $4: how many, after how many. The first row is about all of them, each further one has 50
-- of them. Without $1 those of the system are left out; arrays, and the row types of tables, always are.
WITH matching AS MATERIALIZED (
    SELECT t.oid, n.nspname AS schema, t.typname AS name
    FROM pg_catalog.pg_type AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    WHERE t.typtype <> 'm' AND t.typcategory <> 'A'
      AND (t.typrelid = 0 OR (SELECT c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid) = 'c')
      AND ($1::text IS NULL OR n.nspname = $1)
      AND ($1 IS NOT NULL OR n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)')
      AND ($2::text IS NULL OR t.typname ILIKE $2 OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = t.oid AND cd.classoid = 'pg_catalog.pg_type'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.schema, m.name) AS place
    FROM (SELECT * FROM matching ORDER BY schema, name LIMIT $3::bigint OFFSET $4::bigint) AS m
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
    'kind', CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range'
                           WHEN 'p' THEN 'pseudo' ELSE 'base' END,
    'labels', CASE WHEN t.typtype = 'e' THEN (
        SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
        FROM (
            SELECT e.enumlabel, e.enumsortorder FROM pg_catalog.pg_enum AS e
            WHERE e.enumtypid = p.oid ORDER BY e.enumsortorder LIMIT 21
        ) AS e
    ) END,
    'base', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_type'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301)
) ORDER BY p.place))
FROM page AS p
JOIN pg_catalog.pg_type AS t ON t.oid = p.oid
GROUP BY 1
ORDER BY 1

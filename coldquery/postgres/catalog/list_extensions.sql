-- Which extensions are installed? $1: in this schema; $2: only those whose name or comment is LIKE this; $3, $4: how
-- many, after how many. The first row is about all of them, each further one has 50 of them.
WITH matching AS (
    SELECT e.oid, e.extname AS name, e.extversion AS version, n.nspname AS schema,
           (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = e.oid AND cd.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND cd.objsubid = 0
    ) AS comment
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    WHERE ($1::text IS NULL OR n.nspname = $1)
      AND ($2::text IS NULL OR e.extname ILIKE $2 OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = e.oid AND cd.classoid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.name) AS place
    FROM (SELECT * FROM matching ORDER BY name LIMIT $3::bigint OFFSET $4::bigint) AS m
)
SELECT 0 AS number, NULL::oid[] AS oids, pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching)
) AS items
UNION ALL
SELECT (p.place - 1) / 50 + 1, pg_catalog.array_agg(p.oid ORDER BY p.place),
       pg_catalog.json_strip_nulls(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(p.name), 'version', p.version, 'schema', pg_catalog.quote_ident(p.schema),
    'comment', pg_catalog.left(p.comment, 301)
) ORDER BY p.place))
FROM page AS p
GROUP BY 1
ORDER BY 1

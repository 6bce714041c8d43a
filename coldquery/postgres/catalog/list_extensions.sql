-- Which extensions are installed? $1: in this schema; $2: only those whose name or comment is LIKE this; $3, $4: how
-- many, after how many. The first row is about all of them, the others are one for each.
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
)
SELECT 0 AS place, NULL::name AS name, pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching)
) AS item
UNION ALL
SELECT 1, p.name, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(p.name), 'version', p.version, 'schema', pg_catalog.quote_ident(p.schema),
    'comment', pg_catalog.left(p.comment, 301)
))
FROM (SELECT m.* FROM matching AS m ORDER BY m.name LIMIT $3::bigint OFFSET $4::bigint) AS p
ORDER BY 1, 2

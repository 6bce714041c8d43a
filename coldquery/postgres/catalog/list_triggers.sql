-- Which triggers are there? $1: on tables of this schema; $2: only those whose name or comment is LIKE this, or whose
-- table's name is; $3, $4: how many, after how many. The first row is about all of them, each further one has 50 of them.
-- What foreign keys are held by is left out, and so is what a partition has from its parent.
WITH matching AS MATERIALIZED (
    SELECT t.oid, n.nspname AS schema, c.relname AS table, t.tgname AS name
    FROM pg_catalog.pg_trigger AS t
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT t.tgisinternal AND t.tgparentid = 0
      AND ($1::text IS NULL OR n.nspname = $1)
      AND ($2::text IS NULL OR t.tgname ILIKE $2 OR c.relname ILIKE $2
           OR (
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = t.oid AND cd.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND cd.objsubid = 0
    ) ILIKE $2)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.schema, m."table", m.name) AS place
    FROM (SELECT * FROM matching ORDER BY schema, "table", name LIMIT $3::bigint OFFSET $4::bigint) AS m
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
    'name', pg_catalog.quote_ident(p.name),
    'table', pg_catalog.format('%I.%I', p.schema, p.table),
    -- https://www.postgresql.org/docs/current/catalog-pg-trigger.html: the bits of tgtype are TRIGGER_TYPE_*
    'timing', CASE WHEN t.tgtype & 64 <> 0 THEN 'instead of' WHEN t.tgtype & 2 <> 0 THEN 'before' ELSE 'after' END,
    'events', pg_catalog.concat_ws(
        ' or ', CASE WHEN t.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN t.tgtype & 8 <> 0 THEN 'delete' END,
        CASE WHEN t.tgtype & 16 <> 0 THEN 'update' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'truncate' END
    ),
    'for_each', CASE WHEN t.tgtype & 1 <> 0 THEN 'row' ELSE 'statement' END,
    'function', pg_catalog.format('%I.%I', fn.nspname, f.proname),
    'enabled', CASE t.tgenabled WHEN 'D' THEN 'never' WHEN 'R' THEN 'on replicas' WHEN 'A' THEN 'always' END,
    'comment', pg_catalog.left((
        SELECT cd.description FROM pg_catalog.pg_description AS cd
        WHERE cd.objoid = p.oid AND cd.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND cd.objsubid = 0
    ), 301)
) ORDER BY p.place))
FROM page AS p
JOIN pg_catalog.pg_trigger AS t ON t.oid = p.oid
JOIN pg_catalog.pg_proc AS f ON f.oid = t.tgfoid
JOIN pg_catalog.pg_namespace AS fn ON fn.oid = f.pronamespace
GROUP BY 1
ORDER BY 1

-- Which roles are there, and what may each do? $1: only those whose name or comment is LIKE this; $2, $3: how many, after
-- how many. The first row is about all of them, each further one has 50 of them. Without $1 the predefined ones are left
-- out.
WITH matching AS (
    SELECT r.oid, r.rolname AS name, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
    FROM pg_catalog.pg_roles AS r
    WHERE ($1::text IS NOT NULL OR r.rolname !~ '^pg_')
      AND ($1 IS NULL OR r.rolname ILIKE $1 OR pg_catalog.shobj_description(r.oid, 'pg_authid') ILIKE $1)
), page AS MATERIALIZED (
    SELECT m.*, pg_catalog.row_number() OVER (ORDER BY m.name) AS place
    FROM (SELECT * FROM matching ORDER BY name LIMIT $2::bigint OFFSET $3::bigint) AS m
)
SELECT 0 AS number, NULL::oid[] AS oids, pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching)
) AS items
UNION ALL
SELECT (p.place - 1) / 50 + 1, pg_catalog.array_agg(p.oid ORDER BY p.place),
       pg_catalog.json_strip_nulls(pg_catalog.json_agg(pg_catalog.json_build_object(
    'name', pg_catalog.quote_ident(p.name),
    'login', nullif(r.rolcanlogin, false), 'superuser', nullif(r.rolsuper, false),
    'create_db', nullif(r.rolcreatedb, false), 'create_role', nullif(r.rolcreaterole, false),
    'replication', nullif(r.rolreplication, false), 'bypass_rls', nullif(r.rolbypassrls, false),
    'connection_limit', nullif(r.rolconnlimit, -1), 'current', nullif(p.name = current_user, false),
    'member_of', (
        SELECT pg_catalog.json_agg(DISTINCT pg_catalog.quote_ident(g.rolname))
        FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
        WHERE m.member = p.oid
    ),
    'comment', pg_catalog.left(p.comment, 301)
) ORDER BY p.place))
FROM page AS p
JOIN pg_catalog.pg_roles AS r ON r.oid = p.oid
GROUP BY 1
ORDER BY 1

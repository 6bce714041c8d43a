-- Which roles are there, and what may each do? $1: only those whose name or comment is LIKE this; $2, $3: how many, after
-- how many. The first row is about all of them, the others are one for each. Without $1 the predefined ones are left out.
WITH matching AS (
    SELECT r.oid, r.rolname AS name, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment
    FROM pg_catalog.pg_roles AS r
    WHERE ($1::text IS NOT NULL OR r.rolname !~ '^pg_')
      AND ($1 IS NULL OR r.rolname ILIKE $1 OR pg_catalog.shobj_description(r.oid, 'pg_authid') ILIKE $1)
)
SELECT 0 AS place, NULL::name AS name, pg_catalog.json_build_object(
    'total', (SELECT pg_catalog.count(*) FROM matching)
) AS item
UNION ALL
SELECT 1, p.name, pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
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
))
FROM (SELECT m.* FROM matching AS m ORDER BY m.name LIMIT $2::bigint OFFSET $3::bigint) AS p
JOIN pg_catalog.pg_roles AS r ON r.oid = p.oid
ORDER BY 1, 2

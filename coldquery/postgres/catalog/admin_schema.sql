-- Which schema is meant by $1, a name as it stands or as SQL writes it? And which are there? The one that is meant first.
SELECT n.oid::int8 AS oid, pg_catalog.quote_ident(n.nspname) AS name, n.nspname::text AS plain,
    n.nspname = $1::text OR pg_catalog.quote_ident(n.nspname) = $1::text AS meant
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname !~ '^pg_(toast|temp_)'
ORDER BY meant DESC, n.nspname
LIMIT 1000

-- Which databases are there, and how large is the one called $1? Its size is null where the role may not know it.
SELECT d.datname::text AS name, d.datname = pg_catalog.current_database() AS connected,
       CASE WHEN d.datname = $1::text AND (
           pg_catalog.has_database_privilege(d.oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
       ) THEN pg_catalog.pg_database_size(d.oid) END AS bytes
FROM pg_catalog.pg_database AS d WHERE NOT d.datistemplate ORDER BY 1 LIMIT 10000

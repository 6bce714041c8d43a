-- Can it be told which statements take long? The schema of pg_stat_statements in this database, whether its library is
-- loaded (its settings are known only then), and whether the role sees others' statements.
SELECT (
           SELECT n.nspname::text FROM pg_catalog.pg_extension AS e
           JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'
       ) AS schema,
       pg_catalog.current_setting('pg_stat_statements.max', true) IS NOT NULL AS loaded,
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all

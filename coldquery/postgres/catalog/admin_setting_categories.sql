-- Into which categories does PostgreSQL sort its settings?
SELECT DISTINCT s.category FROM pg_catalog.pg_settings AS s ORDER BY 1

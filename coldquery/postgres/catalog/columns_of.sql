-- Which columns do these tables have? $1 holds their names, with their schema where the caller gave it; what is not
-- found, or may not be looked at, is left out. At most 500, in their tables' order.
SELECT c.relname::text AS table, a.attname::text AS name
FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY AS wanted (name, number)
JOIN pg_catalog.pg_class AS c ON c.oid = pg_catalog.to_regclass(wanted.name)
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')
ORDER BY wanted.number, a.attnum
LIMIT 500

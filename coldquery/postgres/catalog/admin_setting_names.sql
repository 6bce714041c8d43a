-- Which settings does the role see?
SELECT s.name FROM pg_catalog.pg_settings AS s ORDER BY 1

-- The gateway's roles and its database. May be run again at any time; psql's ON_ERROR_STOP is on.
-- It runs again when this file changes: a new version must be able to follow the former ones.

-- The owner writes and holds the sessions; the reader can only SELECT. Neither can do what only a superuser may.
SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY['coldquery_owner', 'coldquery_reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE coldquery_owner NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE coldquery_reader NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;

-- What runs, whose statements take long. Not pg_read_all_data: that would read the password hashes in pg_authid.
GRANT pg_read_all_stats TO coldquery_owner, coldquery_reader;

SELECT 'CREATE DATABASE coldquery OWNER coldquery_owner'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'coldquery') \gexec
-- PUBLIC may connect and make temporary tables by default.
REVOKE ALL ON DATABASE coldquery, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE coldquery TO coldquery_reader;

\connect coldquery
BEGIN;
ALTER SCHEMA public OWNER TO coldquery_owner;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO coldquery_reader;

-- Everything that the owner will make can be read: https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html
ALTER DEFAULT PRIVILEGES FOR ROLE coldquery_owner GRANT USAGE ON SCHEMAS TO coldquery_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE coldquery_owner GRANT SELECT ON TABLES TO coldquery_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE coldquery_owner GRANT SELECT ON SEQUENCES TO coldquery_reader;

-- Large objects are the one thing that anybody could still make.
REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) TO coldquery_owner;

CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
COMMIT;

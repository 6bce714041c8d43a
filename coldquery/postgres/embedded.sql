-- The embedded server's own: its roles, which it may mend, its database, and nobody else in it. roles.sql follows in the
-- same run of psql, and gives the roles what they may do. Both run again when one of them has changed: a new version must
-- be able to follow the former ones.

SELECT format('CREATE ROLE %I LOGIN', name) FROM unnest(ARRAY[:'writer', :'reader']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"writer" NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
ALTER ROLE :"reader" NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;

SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'writer')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
REVOKE ALL ON DATABASE :"database", postgres, template1 FROM PUBLIC;

\connect :"database"
ALTER SCHEMA public OWNER TO :"writer";
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;

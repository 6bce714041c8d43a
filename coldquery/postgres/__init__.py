"""PostgreSQL: connections, values, what errors mean. asyncpg is known here."""

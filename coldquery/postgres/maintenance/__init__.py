"""Looking after tables: what to run, how far it is, what it changed, what the figures suggest. All of it pure."""

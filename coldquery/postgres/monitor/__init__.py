"""What pg_monitor tells: pure functions from the rows of the catalog's questions to verdicts and shapes."""

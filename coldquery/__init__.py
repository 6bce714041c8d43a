"""ColdQuery: the PostgreSQL gateway for AI agents. Kept empty, so that importing one part imports no other."""

"""The MCP adapter. FastMCP is known here and nowhere else."""

import os

# FastMCP reads this when it is imported: without it, it writes to standard error in a form of its own.
os.environ.setdefault("FASTMCP_LOG_ENABLED", "false")

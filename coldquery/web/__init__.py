"""Plain HTTP beside MCP."""

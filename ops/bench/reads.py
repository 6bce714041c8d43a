"""A row by its key, asked of the gateway over HTTP, and the command that starts that gateway."""

from ops.bench.wire import modern_request

SQL = "SELECT id, sku, name, stock FROM shop.products WHERE id = $1"
GATEWAY = modern_request(
    1, "tools/call", {"name": "pg_query", "arguments": {"action": "read", "sql": SQL, "params": [47]}}
)


def gateway_command(dsn: str, port: int) -> list[str]:
    return ["-m", "coldquery.cli", "serve", "--dsn", dsn, "--port", str(port)]

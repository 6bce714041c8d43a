"""The Inspector's command line as a client: each call connects, asks one thing, and goes away."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ops.conformance.gateway import COLDQUERY, Gateway
from ops.conformance.toolchain import Toolchain

LIMIT_S = 120
TOOLS = ["pg_query", "pg_tx", "pg_schema", "pg_admin", "pg_monitor"]
# Its own names: with a handshake, whichever the server speaks, and the 2026-07-28 revision.
ERAS = ("legacy", "auto", "modern")
# How it exits where a call fails, or the tool is not there.
REFUSED = 5


@dataclass(frozen=True)
class Reply:
    """How the command ended, the result that it printed, and what it said."""

    code: int
    result: dict[str, Any]
    said: str

    @property
    def body(self) -> dict[str, Any]:
        """A tool's answer."""
        content = self.result.get("content")
        body: dict[str, Any] = json.loads(content[-1]["text"]) if content else {}
        return body


@dataclass(frozen=True)
class Client:
    """Calls one server in one era."""

    command: tuple[str, ...]

    def ask(self, *arguments: str) -> Reply:
        command = [*self.command, "--format", "json", *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_S)
        result = json.loads(done.stdout).get("result", {}) if done.stdout.strip() else {}
        return Reply(done.returncode, result, done.stdout + done.stderr)

    def call(self, tool: str, **arguments: Any) -> Reply:
        return self.ask("--method", "tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))


def check(tools: Toolchain, gateway: Gateway) -> Iterator[tuple[str, bool, Reply]]:
    """What is checked, whether it holds, and the reply that decided it."""
    http = Client((*tools.inspector, gateway.url))
    reply = http.ask("--method", "tools/list", "--strict")
    names = [each["name"] for each in reply.result.get("tools", [])]
    yield "tools/list --strict", reply.code == 0 and names == TOOLS, reply
    reply = http.call("no_such_tool")
    yield "an unknown tool is an error", reply.code == REFUSED, reply
    for era in ERAS:
        for what, holds, reply in _check_era(Client((*http.command, "--protocol-era", era)), era):
            yield f"{era}: {what}", holds, reply
    environment = ("-e", "COLDQUERY_TRANSPORT=stdio", "-e", f"COLDQUERY_DATA_DIR={gateway.data_dir}")
    reply = Client((*tools.inspector, COLDQUERY, "serve", *environment)).call("pg_query", action="read", sql="SELECT 1")
    yield "stdio: a read", reply.code == 0 and reply.body["rows"] == [[1]], reply


def _check_era(client: Client, era: str) -> Iterator[tuple[str, bool, Reply]]:
    reply = client.call("pg_query", action="read", sql="SELECT 1")
    yield "a read", reply.code == 0 and reply.body["rows"] == [[1]], reply
    reply = client.call("pg_query", action="read", sql="CREATE TABLE conformance ()")
    yield "a read can't write", reply.code == REFUSED and reply.body["error"]["code"] == "read_only", reply
    # A client with a handshake has an end, and its transactions end with it unless they are kept.
    reply = client.call("pg_tx", action="begin", **({} if era == "modern" else {"keep": True}))
    yield "begin", reply.code == 0, reply
    session = {"session_id": reply.body.get("session_id")}
    reply = client.call("pg_query", action="write", sql="CREATE TABLE conformance AS SELECT 1 AS i", **session)
    yield "a write in the transaction", reply.code == 0 and reply.body["session"]["id"] == session["session_id"], reply
    found = "SELECT to_regclass('conformance') IS NOT NULL"
    reply = client.call("pg_query", action="read", sql=found, **session)
    yield "its own write is seen", reply.code == 0 and reply.body["rows"] == [[True]], reply
    reply = client.call("pg_tx", action="rollback", **session)
    yield "rollback", reply.code == 0, reply
    reply = client.call("pg_query", action="read", sql=found)
    yield "nothing is left", reply.code == 0 and reply.body["rows"] == [[False]], reply
    reply = client.call("pg_tx", action="status", **session)
    yield "the transaction is over", reply.code == REFUSED and reply.body["error"]["code"] == "session_ended", reply

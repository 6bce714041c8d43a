"""The MCP conformance suite and the Inspector against a gateway: `./dev run python -m ops.conformance`.

With the express lane, and without it.

Exit code: 0 if all went as expected, 1 if not, 2 if something is missing on this machine.
"""

import sys

from ops.conformance import inspector, suite
from ops.conformance.gateway import serving
from ops.conformance.toolchain import MissingError, install

REVISIONS = ("2025-11-25", "2026-07-28")


def main() -> int:
    try:
        tools = install()
    except MissingError as missing:
        print(f"conformance: {missing}", file=sys.stderr)
        return 2
    problems = []
    row = "{:<24}{:>18}{:>9}{:>16}{:>9}  {}".format
    print(row("", "scenarios passed", "failed", "checks passed", "failed", ""))
    for express in (True, False):
        door = "express" if express else "fastmcp"
        with serving(express=express) as gateway:
            for revision in REVISIONS:
                outcome = suite.run(tools, gateway.url, revision)
                if outcome.problem:
                    problems.append(f"{revision}, {door}: {outcome.problem}")
                verdict = "NOT as expected" if outcome.problem else "as expected"
                print(row(f"{revision}, {door}", *outcome.scenarios, *outcome.checks, verdict), flush=True)
            checks = list(inspector.check(tools, gateway))
        bad = [f"inspector, {what}: exit code {reply.code}\n{reply.said}" for what, holds, reply in checks if not holds]
        verdict = "NOT as expected" if bad else "as expected"
        print(row(f"inspector, {door}", "", "", len(checks) - len(bad), len(bad), verdict), flush=True)
        problems += bad
    for problem in problems:
        print(f"\n{problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

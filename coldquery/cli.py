"""The command line: `coldquery serve` and `coldquery settings`.

Only what a command needs is imported, when it runs: `coldquery --help` answers at once.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import NoReturn, override

from coldquery.errors import StartError
from coldquery.settings import Loaded, add_flags, chosen_flags, describe, load, table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit code: 0, 1 for what the operator can mend, 2 for a command line that is wrong."""
    options = _parser().parse_args(arguments)
    try:
        command = {"serve": _serve, "settings": _settings}[options.command]
        command(options)
    except StartError as error:
        print(f"coldquery: {error}\n  Next: {error.next}", file=sys.stderr)
        return 1
    return 0


class _Parser(argparse.ArgumentParser):
    """argparse, but an argument that it does not know is named without its value: that may be a password."""

    @override
    def error(self, message: str) -> NoReturn:
        before, unknown, rest = message.partition("unrecognized arguments: ")
        if unknown:
            names = [word.partition("=")[0] for word in rest.split() if word.startswith("-")]
            message = before + unknown + ", ".join(names or ["words that are no flags"])
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="coldquery",
        description="The PostgreSQL gateway that an AI agent can hold a transaction open through.",
    )
    parser.add_argument("--version", action="version", version=version("coldquery"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve MCP; with no database configured, on an embedded PostgreSQL")
    add_flags(serve)
    settings = commands.add_parser("settings", help="print the settings in force and where each came from")
    add_flags(settings)
    settings.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _load(options: argparse.Namespace) -> Loaded:
    return load(chosen_flags(options), os.environ)


def _serve(options: argparse.Namespace) -> None:
    reload = functools.partial(_load, options)
    settings = reload().settings

    from coldquery.telemetry.logging import configure  # noqa: PLC0415 - see the head of this module

    configure(settings.log_level, settings.log_format)

    import uvloop  # noqa: PLC0415

    from coldquery.serve import serve  # noqa: PLC0415

    asyncio.run(serve(reload), loop_factory=uvloop.new_event_loop)


def _settings(options: argparse.Namespace) -> None:
    rows = describe(_load(options))
    print(json.dumps([row._asdict() for row in rows], indent=2) if options.json else table(rows))


if __name__ == "__main__":
    sys.exit(main())

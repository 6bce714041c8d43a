"""The command line: `coldquery serve`, `doctor`, `settings` and `sessions`.

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
    """Run a command. Returns the exit code: 0, 1 for what the operator can mend, 2 for a command line that is wrong.

    `doctor` returns 1 for a warning, and 2 for all that is worse.
    """
    options = _parser().parse_args(arguments)
    commands = {"serve": _serve, "doctor": _doctor, "settings": _settings, "sessions": _sessions}
    try:
        return commands[options.command](options)
    except StartError as error:
        print(f"coldquery: {error}\n  Next: {error.next}", file=sys.stderr)
        # Whoever lets doctor's warnings pass must not let this pass: a gateway would not start.
        return 2 if options.command == "doctor" else 1


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
    doctor = commands.add_parser(
        "doctor",
        help="connect as the gateway would, and check what it relies on",
        description="Connects as `coldquery serve` would with the same settings, and checks what it relies on. "
        "Changes nothing in the database.",
        epilog="Exit code: 0 if all is well, 1 if something deserves a warning, 2 if something fails: no connection, a "
        "read that could write, settings that can't be used.",
    )
    doctor.add_argument("--json", action="store_true", help="as JSON")
    add_flags(doctor)
    settings = commands.add_parser("settings", help="print the settings in force and where each came from")
    add_flags(settings)
    settings.add_argument("--json", action="store_true", help="as JSON")
    sessions = commands.add_parser("sessions", help="list the sessions of the gateways that run, or evict one")
    sessions.add_argument("--gateway", type=int, metavar="PID", help="only the gateway that runs as this process")
    sessions.add_argument("--json", action="store_true", help="as JSON")
    actions = sessions.add_subparsers(title="actions", dest="action", metavar="[evict]")
    evict = actions.add_parser("evict", help="end a session and roll back what it has not committed")
    evict.add_argument("short_id", metavar="SESSION", help="its short id, as listed")
    # Not given here, it must not hide the one that was given before.
    evict.add_argument("--gateway", type=int, metavar="PID", default=argparse.SUPPRESS, help="the gateway that has it")
    return parser


def _load(options: argparse.Namespace) -> Loaded:
    return load(chosen_flags(options), os.environ)


def _serve(options: argparse.Namespace) -> int:
    reload = functools.partial(_load, options)
    settings = reload().settings

    from coldquery.telemetry.logging import configure  # noqa: PLC0415 - see the head of this module

    configure(settings.log_level, settings.log_format)

    import uvloop  # noqa: PLC0415

    from coldquery.serve import serve  # noqa: PLC0415

    asyncio.run(serve(reload), loop_factory=uvloop.new_event_loop)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    loaded = _load(options)

    from coldquery.telemetry.logging import configure  # noqa: PLC0415 - see the head of this module

    # What is odd is in the report: the warnings of a pool that throws a tried connection away are not for people.
    configure("error", loaded.settings.log_format)

    import uvloop  # noqa: PLC0415

    from coldquery import doctor  # noqa: PLC0415
    from coldquery.database import open_database  # noqa: PLC0415

    async def examine() -> list[doctor.Check]:
        async with open_database(loaded.settings) as database:
            return await doctor.examine(loaded, database)

    checks = asyncio.run(examine(), loop_factory=uvloop.new_event_loop)
    print(doctor.as_json(checks) if options.json else doctor.as_text(checks))
    return doctor.exit_code(checks)


def _settings(options: argparse.Namespace) -> int:
    rows = describe(_load(options))
    print(json.dumps([row._asdict() for row in rows], indent=2) if options.json else table(rows))
    return 0


def _sessions(options: argparse.Namespace) -> int:
    from coldquery.control.client import evict, list_sessions  # noqa: PLC0415 - see the head of this module
    from coldquery.control.table import sessions_table  # noqa: PLC0415

    if options.action == "evict":
        pid = evict(options.short_id, options.gateway)
        print(f"Session {options.short_id} of gateway {pid} ends; what it has not committed is rolled back.")
        return 0
    listing = list_sessions(options.gateway)
    rows = [{"gateway": pid, **session} for pid, sessions in listing.items() for session in sessions]
    print(json.dumps(rows, indent=2) if options.json else sessions_table(listing))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Sessions as a table for people. What clients chose, such as labels, is data: none of it may steer the terminal."""

from collections.abc import Iterable, Mapping, Sequence

from coldquery.control.client import Session

# The label is last: it may be long, and may hold characters that are wider than others.
HEADING = ("session", "state", "age", "idle", "principal", "last command", "blocks", "label")
NOTHING = "-"
MINUTE_S = 60


def sessions_table(listing: Mapping[int, Sequence[Session]]) -> str:
    """The sessions of one gateway as aligned text under a heading, and those of several under their process ids."""
    if len(listing) == 1:
        (sessions,) = listing.values()
        return "\n".join(_lines(sessions))
    blocks = ("\n  ".join([f"gateway {pid}", *_lines(sessions)]) for pid, sessions in listing.items())
    return "\n\n".join(blocks)


def duration(seconds: float) -> str:
    """A time as it would be said, to the second, the minute, or the hour and minute."""
    if seconds < MINUTE_S:
        return f"{int(seconds)} s"
    hours, minutes = divmod(int(seconds) // MINUTE_S, 60)
    return " ".join(f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min")) if number)


def printable(text: str) -> str:
    """A text on one line, with escapes in place of what a terminal would obey (controls, changes of direction)."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def _lines(sessions: Sequence[Session]) -> Iterable[str]:
    if not sessions:
        return ["no sessions"]
    rows = [HEADING, *map(_row, sessions)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _row(session: Session) -> tuple[str, ...]:
    idle_s = session["idle_s"]
    cells = (
        session["short_id"],
        session["state"],
        duration(session["age_s"]),
        None if idle_s is None else duration(idle_s),
        session["principal"],
        session["last_command"],
        ", ".join(map(str, session["blocks"])),
        session["label"],
    )
    return tuple(printable(cell) if cell else NOTHING for cell in cells)

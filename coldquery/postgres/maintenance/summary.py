"""What maintenance has changed, by the figures before and after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coldquery.postgres.maintenance.statements import Maintenance, Verb
from coldquery.postgres.maintenance.words import number, size

type Figures = Mapping[str, Any]

_COUNTED = ("dead_tuples", "live_tuples", "estimated_rows")
_SIZES: dict[Verb, tuple[str, ...]] = {
    "vacuum": ("table_bytes", "index_bytes", "database_bytes"),
    "analyze": (),
    "reindex": ("index_bytes",),
}
_TIMES: dict[Verb, tuple[str, ...]] = {
    "vacuum": ("last_vacuum", "last_autovacuum", "last_analyze", "last_autoanalyze"),
    "analyze": ("last_analyze", "last_autoanalyze"),
    "reindex": (),
}
# Dead tuples that stay are worth a word from here on; a few are made all the time.
MANY_LEFT = 1_000
_REMAIN = (
    " The dead tuples that stay may still be needed by an older transaction, a prepared one or a replication slot: "
    "pg_monitor health names it. End it, and vacuum again."
)


def compared(done: Maintenance, before: Figures, after: Figures) -> dict[str, Any]:
    """Each figure before and after, where there is one; and when it was last looked after."""
    counted = _COUNTED if _counts_anew(done) else ()
    told: dict[str, Any] = {
        name: {"before": before[name], "after": after[name]}
        for name in (*counted, *_SIZES[done.verb])
        if before[name] is not None and after[name] is not None
    }
    return {**told, **{name: after[name] for name in _TIMES[done.verb] if after[name] is not None}}


def summary(done: Maintenance, before: Figures, after: Figures) -> str:
    """The same in a sentence or two."""
    words: list[str] = []
    if done.verb == "vacuum" and _counts_anew(done):
        words += _tuples(before, after)
    for name in _SIZES[done.verb]:
        words += _size(name.removesuffix("_bytes"), before[name], after[name])
    if done.verb == "analyze" or done.analyze:
        words.append(f"the planner now reckons with {number(after['estimated_rows'] or 0)} rows")
    text = "; ".join(words)
    if not text:
        return "Done."
    return f"{text[:1].upper()}{text[1:]}.{_REMAIN if _many_stay(done, before, after) else ''}"


def _counts_anew(done: Maintenance) -> bool:
    """VACUUM FULL leaves the count of dead tuples as it was, though there are none any more, until the next analyze."""
    return done.verb != "reindex" and (not done.full or done.analyze)


def _tuples(before: Figures, after: Figures) -> list[str]:
    was, left = before["dead_tuples"], after["dead_tuples"]
    if was is None or left is None:
        return []
    return [f"dead tuples: {number(was)} before, {number(left)} after"]


def _many_stay(done: Maintenance, before: Figures, after: Figures) -> bool:
    was, left = before["dead_tuples"] or 0, after["dead_tuples"] or 0
    return done.verb == "vacuum" and _counts_anew(done) and left >= MANY_LEFT and left > was / 2


def _size(what: str, was: int | None, now: int | None) -> list[str]:
    if was is None or now is None:
        return []
    if was == now:
        return [f"{what} size: {size(now)}, as before"]
    return [f"{what} size: {size(was)} before, {size(now)} after"]

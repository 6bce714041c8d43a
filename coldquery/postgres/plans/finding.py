"""One thing worth knowing of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from coldquery.postgres.plans.text import title
from coldquery.postgres.plans.tree import Node

_LONGEST_CONDITION = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong or slow, where, by which figure, and what to do about it.

    Attributes:
        kind: a stable name; docs/plans.md lists them.
        node: as the plan's text has it; empty for the statement as a whole.
        figure: what was measured or estimated.
        advice: one or two sentences, with SQL where there is some.
        weight: milliseconds at stake, or the planner's cost where nothing was measured.
    """

    kind: str
    node: str
    figure: str
    advice: str
    weight: float

    @classmethod
    def of(cls, kind: str, node: Node, figure: str, advice: str) -> Self:
        """A finding at a node, which weighs what the node took by itself."""
        return cls(kind, title(node), figure, advice, node.self_ms or node.cost)

    def to_dict(self) -> dict[str, Any]:
        """The wire form."""
        named = {"kind": self.kind, "node": self.node, "figure": self.figure, "advice": self.advice}
        return {name: text for name, text in named.items() if text}


def count(number: float) -> str:
    """A number of rows or the like, as people read it."""
    return f"{number:,.0f}" if number == int(number) or number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - digits


def shortened(condition: str) -> str:
    """A condition, without what no reader goes through."""
    return condition if len(condition) <= _LONGEST_CONDITION else f"{condition[:_LONGEST_CONDITION]}…"


def megabytes(kilobytes: float) -> str:
    """A size, as people read it."""
    return f"{kilobytes / 1024:.3g} MB" if kilobytes >= 1024 else f"{kilobytes:.0f} kB"  # noqa: PLR2004 - kB of a MB

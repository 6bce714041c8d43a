"""The plan as a tree, with the time that each node took by itself.

PostgreSQL adds fields and kinds of nodes with each major, and leaves fields out where they say nothing. So nothing is
relied on: a field that is missing, or of another kind than expected, counts as nothing.

Source: https://www.postgresql.org/docs/current/using-explain.html, src/backend/commands/explain.c
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from coldquery.postgres.identifiers import quote, quote_name

type Raw = Mapping[str, Any]


@dataclass(slots=True, eq=False)
class Node:
    """A node of a plan.

    Attributes:
        raw: what EXPLAIN says of it, its children aside.
        children: in EXPLAIN's order, subplans included.
        parent: None for the topmost.
        total_ms: how long it took in all its loops, children included, by the clock; 0 where nothing was measured.
        self_ms: the same without what its children took.
    """

    raw: Raw
    parent: Self | None = None
    children: list[Self] = field(default_factory=list)
    total_ms: float = 0.0
    self_ms: float = 0.0

    def number(self, name: str) -> float:
        """A field as a number; 0 where there is none."""
        return number_of(self.raw, name)

    def text(self, name: str) -> str:
        """A field as text; empty where there is none."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts."""
        value = self.raw.get(name)
        return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []

    @property
    def kind(self) -> str:
        """PostgreSQL's name for what it does, such as `Seq Scan`."""
        return self.text("Node Type") or "Unknown"

    @property
    def relation(self) -> str:
        """The table that it reads or writes, as SQL would name it; empty if none."""
        name, schema = self.text("Relation Name"), self.text("Schema")
        return quote_name(each for each in (schema, name) if each) if name else ""

    @property
    def where(self) -> str:
        """What it reads: a table with its alias, a CTE, a function or whatever else has an alias; empty if nothing."""
        alias = self.text("Alias")
        if relation := self.relation:
            return relation if alias in {"", self.text("Relation Name")} else f"{relation} {quote(alias)}"
        return self.text("CTE Name") or self.text("Function Name") or alias

    @property
    def loops(self) -> float:
        """How often it ran; 0 if never, or if nothing was run."""
        return self.number("Actual Loops")

    @property
    def rows(self) -> float:
        """How many rows it gave in all its loops."""
        return self.number("Actual Rows") * self.loops

    @property
    def cost(self) -> float:
        """The planner's estimate of what it takes by itself, for one run of the node above it."""
        return max(self.number("Total Cost") - sum(each.number("Total Cost") for each in self.inputs), 0.0)

    @property
    def inputs(self) -> list[Self]:
        """The children that it pulls rows from; not the subplans and CTEs that hang on it."""
        return [each for each in self.children if each.text("Parent Relationship") not in {"InitPlan", "SubPlan"}]

    @property
    def is_cte(self) -> bool:
        """It is the body of a CTE. Its time is spent in the nodes that scan the CTE, wherever they are."""
        return self.text("Subplan Name").startswith("CTE ")

    def walk(self) -> Iterator[Self]:
        """This node and all below it, top down."""
        # Not by recursion: a plan may be deeper than Python's stack.
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement's plan.

    Attributes:
        root: the topmost node; None for what has no plan, such as a utility statement.
        raw: the fields beside the plan.
        note: what stands in place of a plan.
    """

    root: Node | None
    raw: Raw
    note: str = ""

    @property
    def analyzed(self) -> bool:
        """It was run and measured."""
        return "Execution Time" in self.raw

    @property
    def planning_ms(self) -> float | None:
        """How long the planner took, where it was measured."""
        return number_of(self.raw, "Planning Time") if "Planning Time" in self.raw else None

    @property
    def execution_ms(self) -> float | None:
        """How long it ran, where it did."""
        return number_of(self.raw, "Execution Time") if self.analyzed else None

    def nodes(self) -> list[Node]:
        """All its nodes, top down."""
        return [] if self.root is None else list(self.root.walk())


def parse(explained: object) -> tuple[Plan, ...]:
    """The plans in what EXPLAIN (FORMAT JSON) answered, decoded: one, but for what rules have made several of."""
    plans = explained if isinstance(explained, Sequence) and not isinstance(explained, str) else [explained]
    return tuple(_plan(each) for each in plans)


def number_of(raw: Raw, name: str) -> float:
    """A field as a number; 0 where there is none."""
    value = raw.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0


def _plan(raw: object) -> Plan:
    if not isinstance(raw, Mapping):
        return Plan(None, {}, str(raw))
    top = raw.get("Plan")
    rest = {key: value for key, value in raw.items() if key != "Plan"}
    if not isinstance(top, Mapping):
        return Plan(None, rest, "; ".join(f"{key}: {value}" for key, value in rest.items()))
    root = _tree(top)
    _measure(root)
    return Plan(root, rest)


def _tree(top: Raw) -> Node:
    root = Node({key: value for key, value in top.items() if key != "Plans"})
    waiting = [(root, top)]
    while waiting:
        parent, raw = waiting.pop()
        plans = raw.get("Plans")
        for each in plans if isinstance(plans, list) else []:
            if isinstance(each, Mapping):
                child = Node({key: value for key, value in each.items() if key != "Plans"}, parent)
                parent.children.append(child)
                waiting.append((child, each))
    return root


def _measure(root: Node) -> None:
    nodes = list(root.walk())
    # A CTE runs as far as its scans ask for rows, so that theirs holds its time too; the first is taken to have paid.
    unpaid = {}
    for node in nodes:
        node.total_ms = _clock_ms(node)
        if node.is_cte:
            unpaid[node.text("Subplan Name").removeprefix("CTE ")] = node.total_ms
    for node in sorted(nodes, key=lambda each: -each.total_ms):
        below = sum(each.total_ms for each in node.children if not each.is_cte)
        if node.kind == "CTE Scan":
            below += unpaid.pop(node.text("CTE Name"), 0.0)
        node.self_ms = max(node.total_ms - below, 0.0)


def _clock_ms(node: Node) -> float:
    """PostgreSQL gives the mean of all loops. Where workers shared them, the slowest of those counts."""
    summed = node.number("Actual Total Time") * node.loops
    workers = node.raw.get("Workers")
    shares = [
        number_of(each, "Actual Total Time") * number_of(each, "Actual Loops")
        for each in (workers if isinstance(workers, list) else [])
        if isinstance(each, Mapping)
    ]
    return max([summed - sum(shares), *shares])

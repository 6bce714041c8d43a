"""A plan as text: EXPLAIN's own words, with a node's conditions and counters in one line below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from coldquery.postgres.plans.tree import Node, Plan

# A plan over thousands of partitions says no more in its last lines than in its first.
MAX_LINES = 300
_LONGEST_DETAIL = 500

# What is said in the node's own line, says nothing to a reader, or is the plan's structure.
_SILENT = {
    "Node Type", "Parent Relationship", "Subplan Name", "Parallel Aware", "Async Capable", "Relation Name", "Schema",
    "Alias", "Index Name", "CTE Name", "Function Name", "Scan Direction", "Join Type", "Strategy", "Partial Mode",
    "Operation", "Command", "Output", "Workers", "Inner Unique", "Single Copy", "Custom Plan Provider", "Cache Mode",
    "Startup Cost", "Total Cost", "Plan Rows", "Plan Width", "Actual Startup Time", "Actual Total Time", "Actual Rows",
    "Actual Loops", "Sort Space Used", "Sort Space Type", "Original Hash Buckets", "Hash Buckets", "Index Searches",
    "Cache Key", "Planned Partitions",
}  # fmt: skip
_BLOCKS = ("Shared", "Local", "Temp")
_KINDS = ("Hit", "Read", "Dirtied", "Written")
_IN_KB = ("Peak Memory Usage", "Disk Usage", "Maximum Storage")
_STRATEGIES = {"Hashed": "Hash", "Sorted": "Group", "Mixed": "Mixed"}


def render(plan: Plan) -> str:
    """The plan, a node to a line, indented by depth; after it the planner's settings that are not the default."""
    if plan.root is None:
        return plan.note
    lines: list[str] = []
    left_out = 0
    for node, depth in _by_depth(plan.root):
        if len(lines) < MAX_LINES:
            lines += _lines(node, depth)
        else:
            left_out += 1
    if left_out:
        lines.append(f"… {left_out} more nodes")
    if isinstance(settings := plan.raw.get("Settings"), dict) and settings:
        lines.append("Settings: " + ", ".join(f"{name} = {value}" for name, value in settings.items()))
    return "\n".join(lines)


def title(node: Node) -> str:
    """What a node does and to what, as EXPLAIN's text has it."""
    words = [_deed(node)]
    if node.raw.get("Parallel Aware") is True:
        words.insert(0, "Parallel")
    if node.text("Scan Direction") == "Backward":
        words.append("Backward")
    index = node.text("Index Name")
    if index:
        words.append(f"{'on' if node.kind == 'Bitmap Index Scan' else 'using'} {index}")
    if node.where:
        words.append(f"on {node.where}")
    return " ".join(words)


def _deed(node: Node) -> str:
    kind, strategy, how = node.kind, node.text("Strategy"), node.text("Join Type")
    match kind:
        case "ModifyTable":
            return node.text("Operation") or kind
        case "Aggregate":
            part = f"{node.text('Partial Mode')} " if node.text("Partial Mode") in {"Partial", "Finalize"} else ""
            return f"{part}{_STRATEGIES.get(strategy, '')}{kind}"
        case "Nested Loop" | "Hash Join" | "Merge Join" if how not in {"", "Inner"}:
            return f"{kind.removesuffix(' Join')} {how} Join"
        case "SetOp":
            return f"{'Hash' if strategy == 'Hashed' else ''}SetOp {node.text('Command')}".rstrip()
        case _:
            return kind


def _by_depth(root: Node) -> Iterator[tuple[Node, int]]:
    depths = {id(root): 0}
    for node in root.walk():
        depth = depths[id(node)]
        depths.update((id(each), depth + 1) for each in node.children)
        yield node, depth


def _lines(node: Node, depth: int) -> Iterator[str]:
    indent = "  " * depth
    name = f"{node.text('Subplan Name')}: " if node.text("Subplan Name") else ""
    yield f"{indent}{name}{title(node)}  {_estimate(node)}{_actual(node)}"
    if details := "; ".join(_details(node)):
        yield f"{indent}    {details}"


def _estimate(node: Node) -> str:
    costs = f"{node.number('Startup Cost'):.2f}..{node.number('Total Cost'):.2f}"
    return f"(cost={costs} rows={node.number('Plan Rows'):.0f} width={node.number('Plan Width'):.0f})"


def _actual(node: Node) -> str:
    if "Actual Loops" not in node.raw:
        return ""
    if not node.loops:
        return " (never executed)"
    time = ""
    if "Actual Total Time" in node.raw:
        time = f"time={node.number('Actual Startup Time'):.3f}..{node.number('Actual Total Time'):.3f} "
    rows = node.number("Actual Rows")
    return f" (actual {time}rows={rows:.{0 if rows.is_integer() else 2}f} loops={node.loops:.0f})"


def _details(node: Node) -> Iterator[str]:
    for name, value in node.raw.items():
        if name in _SILENT or name.endswith(" Blocks") or isinstance(value, dict):
            continue
        if value in (0, "", []) and name != "Workers Launched":
            continue
        if name == "Sort Method":
            used = f" {node.text('Sort Space Type')}: {node.number('Sort Space Used'):.0f}kB"
            yield f"Sort Method: {value}{used if 'Sort Space Used' in node.raw else ''}"
        else:
            yield f"{name}: {_shown(value)}{'kB' if name in _IN_KB else ''}"
    for name in ("Exact Heap Blocks", "Lossy Heap Blocks"):
        if node.number(name):
            yield f"{name}: {node.number(name):.0f}"
    buffers = ", ".join(_blocks(node))
    if buffers:
        yield f"Buffers: {buffers}"


def _blocks(node: Node) -> Iterator[str]:
    for where in _BLOCKS:
        counts = [f"{kind.lower()}={count:.0f}" for kind in _KINDS if (count := node.number(f"{where} {kind} Blocks"))]
        if counts:
            yield f"{where.lower()} {' '.join(counts)}"


def _shown(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _LONGEST_DETAIL else f"{text[:_LONGEST_DETAIL]}…"

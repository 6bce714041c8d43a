"""What did not fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from coldquery.postgres.plans.finding import Finding, count, megabytes
from coldquery.postgres.plans.tree import Node, number_of

_PAGE_KB = 8
# Rows take more room in memory than in a sort's files.
_SORT_GROWTH = 2.5

_RAISE = "SET LOCAL work_mem = '{}' in its transaction would keep it in memory"
_NEEDED = _RAISE + " (for each such node and worker)."


def memory_findings(node: Node) -> Iterator[Finding]:
    """Of a node that spilt to disk, or forgot rows for want of memory."""
    if (spilt := _sort_kb(node)) > 0:
        yield Finding.of(
            "sort_spill",
            node,
            f"{megabytes(spilt)} sorted on disk",
            f"{_needed(spilt * _SORT_GROWTH)} Fewer or narrower columns, a LIMIT, or an index on "
            f"{', '.join(node.texts('Sort Key')) or 'the sort key'} would avoid it.",
        )
    elif (batches := node.number("Hash Batches")) > 1:
        yield Finding.of(
            "hash_spill",
            node,
            f"{count(batches)} batches instead of 1, {megabytes(node.number('Peak Memory Usage'))} of memory each",
            f"{_needed(node.number('Peak Memory Usage') * batches)} Filter the hashed side earlier, if it can be.",
        )
    elif node.kind == "Aggregate" and (disk := _all_of(node, "Disk Usage")) > 0:
        yield Finding.of(
            "aggregate_spill",
            node,
            f"{megabytes(disk)} of groups on disk",
            f"{_needed(disk + node.number('Peak Memory Usage'))} Old statistics make the planner expect fewer groups.",
        )
    elif node.raw.get("Storage") == "Disk" or _own_temp_kb(node) > 0:
        kept = node.number("Maximum Storage") or _own_temp_kb(node)
        yield Finding.of("spill", node, f"{megabytes(kept)} kept on disk", _needed(kept * _SORT_GROWTH))
    if lossy := _all_of(node, "Lossy Heap Blocks"):
        exact = _all_of(node, "Exact Heap Blocks")
        yield Finding.of(
            "lossy_bitmap",
            node,
            f"{count(lossy)} of {count(lossy + exact)} pages known only as a whole: all their rows are checked again",
            _needed((lossy + exact) / 10),
        )


def _needed(kilobytes: float) -> str:
    megabytes_needed = 1
    while megabytes_needed * 1024 < kilobytes:
        megabytes_needed *= 2
    return _NEEDED.format(f"{megabytes_needed}MB")


def _sort_kb(node: Node) -> float:
    """What a sort wrote to disk, its workers' share included."""
    each = [node.raw, *_workers(node)]
    plain = [number_of(raw, "Sort Space Used") for raw in each if raw.get("Sort Space Type") == "Disk"]
    groups = [
        number_of(space, "Peak Sort Space Used")
        for raw in each
        for name in ("Full-sort Groups", "Pre-sorted Groups")
        if isinstance(group := raw.get(name), Mapping) and isinstance(space := group.get("Sort Space Disk"), Mapping)
    ]
    return max([*plain, *groups], default=0.0)


def _own_temp_kb(node: Node) -> float:
    below = sum(each.number("Temp Written Blocks") for each in node.children)
    # A sort or hash below is told of by itself, and a join writes what its hash's batches hold.
    if node.kind in {"Hash Join", "Gather", "Gather Merge"}:
        return 0.0
    return max(node.number("Temp Written Blocks") - below, 0.0) * _PAGE_KB


def _all_of(node: Node, name: str) -> float:
    # In a parallel plan the leader's figure stands beside the workers'.
    return node.number(name) + sum(number_of(each, name) for each in _workers(node))


def _workers(node: Node) -> list[Mapping[str, object]]:
    workers = node.raw.get("Workers")
    return [each for each in workers if isinstance(each, Mapping)] if isinstance(workers, list) else []

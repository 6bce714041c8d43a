"""What a text is, as PostgreSQL's own parser reads it: the kind of statement, what it may do, whom it calls.

For advice and for choices. Whether a read can write is for PostgreSQL to decide, whatever is found here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from coldquery.postgres.parser import Kind, Unparsable, fingerprint, tokens, tree

# A text that is longer is parsed anew each time: agents repeat short ones.
_LONGEST_KEPT = 4_096
_KEPT = 512

# What the parser could not read is known by its first word. Words that may begin a write are left out of the reads.
_NODE_OF_WORD = {
    **dict.fromkeys(("select", "values", "table"), "SelectStmt"),
    **dict.fromkeys(
        ("abort", "begin", "commit", "end", "release", "rollback", "savepoint", "start"), "TransactionStmt"
    ),
    **dict.fromkeys(("set", "reset"), "VariableSetStmt"),
    **dict.fromkeys(("vacuum", "analyze", "analyse"), "VacuumStmt"),
    **dict.fromkeys(("fetch", "move"), "FetchStmt"),
    "call": "CallStmt",
    "checkpoint": "CheckPointStmt",
    "close": "ClosePortalStmt",
    "cluster": "ClusterStmt",
    "repack": "ClusterStmt",  # its name from PostgreSQL 19 on
    "copy": "CopyStmt",
    "deallocate": "DeallocateStmt",
    "declare": "DeclareCursorStmt",
    "discard": "DiscardStmt",
    "do": "DoStmt",
    "execute": "ExecuteStmt",
    "explain": "ExplainStmt",
    "listen": "ListenStmt",
    "load": "LoadStmt",
    "lock": "LockStmt",
    "notify": "NotifyStmt",
    "prepare": "PrepareStmt",
    "reindex": "ReindexStmt",
    "unlisten": "UnlistenStmt",
}

# Of these the fields are looked at, and not only the kind.
_LOOKED_INTO = {
    *("AlterDatabaseStmt", "AlterTableStmt", "ClusterStmt", "CopyStmt", "DeallocateStmt", "DropStmt", "IndexStmt"),
    *("ReindexStmt", "TransactionStmt", "VacuumStmt", "VariableSetStmt"),
}

# In the tree's JSON a quote within a text is escaped, so that these can only be what they look like.
_FIRST_NODE = re.compile(rb'"stmts":\[\{"stmt":\{"(\w+)":')
_STATEMENT = b'{"stmt":{"'
_LOCKS_ROWS = b'"lockingClause":['
_WRITES = re.compile(rb'"(?:Insert|Update|Delete|Merge)Stmt":\{|"intoClause":\{')
# What PostgreSQL refuses to run in a transaction block; each command's page says so.
_NOT_IN_A_BLOCK = {
    *("AlterSystemStmt", "CreateSubscriptionStmt", "DropSubscriptionStmt", "CreatedbStmt", "DropdbStmt"),
    *("CreateTableSpaceStmt", "DropTableSpaceStmt"),
}
_REINDEXES_SEVERAL = {"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"}

type Fields = Mapping[str, Any]


def _never(_: Fields) -> bool:
    return False


def _options(elements: list[Fields] | None) -> set[str]:
    return {each["DefElem"]["defname"] for each in elements or ()}


def _detaches_concurrently(fields: Fields) -> bool:
    commands = (each["AlterTableCmd"] for each in fields.get("cmds", ()))
    return any(each.get("def", {}).get("PartitionCmd", {}).get("concurrent") for each in commands)


_BLOCK_RULES: dict[str, Callable[[Fields], bool]] = {
    "VacuumStmt": lambda fields: bool(fields.get("is_vacuumcmd")),
    "IndexStmt": lambda fields: bool(fields.get("concurrent")),
    "DropStmt": lambda fields: bool(fields.get("concurrent")),
    "ReindexStmt": lambda fields: (
        fields.get("kind") in _REINDEXES_SEVERAL or "concurrently" in _options(fields.get("params"))
    ),
    "ClusterStmt": lambda fields: "relation" not in fields,
    "AlterTableStmt": _detaches_concurrently,
    "AlterDatabaseStmt": lambda fields: "tablespace" in _options(fields.get("options")),
}

# Space, a line comment, or an opening parenthesis. Block comments nest in SQL, so a regular expression can't skip them.
_SKIPPED = re.compile(r"(?:[\s(;]++|--[^\n\r]*+)+")
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[A-Za-z_]+")
_LITERALS = {
    *(Kind.DECIMAL, Kind.STRING, Kind.UNICODE_STRING, Kind.BITS, Kind.HEX_BITS, Kind.INTEGER),
}
# What stands in for a string in a text that is to be parsed. It can be the character that a UESCAPE names, too.
_STRINGS = {Kind.STRING: "'!'", Kind.UNICODE_STRING: "U&'!!'"}
_COMMENTS = {Kind.LINE_COMMENT, Kind.BLOCK_COMMENT}
_LISTED_LITERALS = re.compile(r"\?(?:\s*,\s*\?)+")


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function: its name without a schema, and its arguments as the tree has them."""

    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A text, understood.

    Attributes:
        sql: the text.
        count: how many statements it holds.
        node: PostgreSQL's name for the kind of the first, such as `SelectStmt`; "" if there is none, or if the text
            could not be parsed and begins with no word that tells.
        fields: of that node, where its kind alone says too little.
        problem: why it could not be parsed; None if it could. Then all else is known by the first word alone.
        locks_rows: it has a FOR UPDATE or one of its relatives.
        may_write: it can be one that writes by itself, and not only by a function that it calls.
    """

    sql: str
    count: int
    node: str
    fields: Fields = field(default_factory=dict)
    problem: Unparsable | None = None
    locks_rows: bool = False
    may_write: bool = False

    @property
    def verb(self) -> str:
        """Its first word, in capitals."""
        return first_word(self.sql).upper()

    @property
    def ends_transactions(self) -> bool:
        """Whether PostgreSQL lets it commit and roll back by itself, if it is not in a transaction block.

        Source: https://www.postgresql.org/docs/current/plpgsql-transactions.html
        """
        return self.node in {"CallStmt", "DoStmt"}

    @property
    def is_refused_in_a_block(self) -> bool:
        """Whether PostgreSQL runs it only outside a transaction block."""
        return self.node in _NOT_IN_A_BLOCK or _BLOCK_RULES.get(self.node, _never)(self.fields)

    def calls(self) -> Iterator[Call]:
        """Each function that is called anywhere in it, however its name is written.

        That `x.f` can be a call of f is PostgreSQL's doing: a name after a dot may be a function's.
        https://www.postgresql.org/docs/current/sql-expressions.html#FIELD-SELECTION

        Raises:
            Unparsable: it could not be parsed.
        """
        for node in self._nodes():
            if names := node.get("funcname"):
                yield Call(_name(names[-1]), tuple(node.get("args", ())))
            for dotted in (*node.get("fields", ())[1:], *node.get("indirection", ())):
                if "String" in dotted:
                    yield Call(_name(dotted), (None,))

    def tables(self) -> tuple[tuple[str, ...], ...]:
        """The tables, views and the like that it names: each name's parts, without quotes; no names of its own WITH.

        Raises:
            Unparsable: it could not be parsed.
        """
        found: dict[tuple[str, ...], None] = {}
        own: set[tuple[str, ...]] = set()
        for node in self._nodes():
            if "ctename" in node:
                own.add((node["ctename"],))
            if "relname" in node:
                found[tuple(filter(None, (node.get("schemaname"), node["relname"])))] = None
        return tuple(name for name in found if name not in own)

    def normalized(self) -> str:
        """The text with a question mark for each literal, without comments and in one line. Holds nothing secret.

        Raises:
            Unparsable: it could not be cut into tokens.
        """
        text, last = self.sql.encode(), 0
        parts: list[str] = []
        for token in tokens(self.sql):
            if token.kind in _COMMENTS:
                continue
            if parts and token.start > last:
                parts.append(" ")
            parts.append("?" if token.kind in _LITERALS else text[token.start : token.end].decode())
            last = token.end
        return _LISTED_LITERALS.sub("?, …", "".join(parts))

    def fingerprint(self) -> str:
        """The same for all texts that differ in strings, numbers, space and comments only.

        Raises:
            Unparsable: it could not be parsed.
        """
        # The library overlooks what is an expression, and not the password of a role: by the fingerprint, anybody
        # could try which one it is.
        text, last = self.sql.encode(), 0
        parts: list[str] = []
        for token in tokens(self.sql):
            if (string := _STRINGS.get(token.kind)) is not None:  # type: ignore[call-overload]  # a Kind is an int
                parts += text[last : token.start].decode(), string
                last = token.end
        return fingerprint("".join((*parts, text[last:].decode())))

    def _nodes(self) -> Iterator[dict[str, Any]]:
        try:
            waiting = [msgspec.json.decode(tree(self.sql))]
        except RecursionError:
            raise Unparsable("the statement is nested too deeply") from None
        while waiting:
            each = waiting.pop()
            if isinstance(each, dict):
                yield each
                waiting.extend(each.values())
            elif isinstance(each, list):
                waiting.extend(each)


def understand(sql: str) -> Statement:
    """What the text is. Any text at all; a text that PostgreSQL would not take is understood by its first word."""
    return _understand_kept(sql) if len(sql) <= _LONGEST_KEPT else _understand(sql)


def first_word(sql: str) -> str:
    """The statement's first keyword in lower case, past space, comments and parentheses; "" if there is none.

    Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS
    """
    word = _WORD.match(sql) or _WORD.match(sql, _start(sql))
    return word.group().lower() if word else ""


def _understand(sql: str) -> Statement:
    try:
        parsed = tree(sql)
    except Unparsable as problem:
        node = _NODE_OF_WORD.get(first_word(sql), "")
        empty = _start(sql) == len(sql)
        return Statement(sql, 0 if empty else 1, node, problem=problem, may_write=node != "SelectStmt")
    first = _FIRST_NODE.search(parsed)
    if first is None:
        return Statement(sql, 0, "")
    node = first.group(1).decode()
    return Statement(
        sql,
        parsed.count(_STATEMENT),
        node,
        _fields(parsed) if node in _LOOKED_INTO else {},
        locks_rows=_LOCKS_ROWS in parsed,
        may_write=node != "SelectStmt" or _LOCKS_ROWS in parsed or _WRITES.search(parsed) is not None,
    )


_understand_kept = lru_cache(maxsize=_KEPT)(_understand)


def _fields(parsed: bytes) -> Fields:
    try:
        (fields,) = msgspec.json.decode(parsed)["stmts"][0]["stmt"].values()
    except RecursionError:
        return {}
    return dict(fields)


def _name(string: Mapping[str, Any]) -> str:
    return str(string.get("String", {}).get("sval", ""))


def _start(sql: str, at: int = 0) -> int:
    """Where the first token at or after a position begins."""
    while True:
        skipped = _SKIPPED.match(sql, at)
        at = skipped.end() if skipped else at
        if not sql.startswith("/*", at):
            return at
        depth = 0
        for edge in _BLOCK_EDGE.finditer(sql, at):
            depth += 1 if edge.group() == "/*" else -1
            if depth == 0:
                at = edge.end()
                break
        else:
            return len(sql)

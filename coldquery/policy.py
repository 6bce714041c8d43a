"""Which statement may run where: pure verdicts, for good error messages.

This is not the wall. What a read may not do is refused by PostgreSQL itself (coldquery/reads.py); the words here save a
round trip, say better what to do instead, and keep out the few statements that would confuse the driver. Two things are
refused here alone: the functions by which a read-only transaction still reaches beyond itself, if its role may call
them, and the settings that guard a session.
"""

import re
from collections.abc import Iterable

from coldquery.errors import Code, Refusal
from coldquery.postgres.parser import Unparsable
from coldquery.postgres.position import locate
from coldquery.postgres.syntax import Call, Statement, understand

type Why = tuple[str, str]
"""What is wrong, with {what} for the statement's own words, and what to do instead."""

_TRANSACTION = (
    "A read is one statement in a transaction of its own that is always rolled back: {what} has no place in it.",
    "Send the query alone, without transaction control.",
)
_SETTINGS = (
    "Settings do not outlive a read, so {what} would have no effect.",
    "Use `timeout_ms` for a time limit; schema-qualify names instead of setting search_path.",
)
_COPY = (
    "COPY can't run as a read: its data stream has no place in a result.",
    "Use SELECT (or TABLE name); `max_rows` and `max_bytes` bound the answer.",
)
_NOTIFICATIONS = (
    "Notifications need a lasting connection, and a read has none: {what} would have no effect.",
    "Poll with a query instead.",
)
_PREPARED = (
    "Prepared statements and cursors do not outlive a read: {what} would have no effect.",
    "Send the query itself, with its values in `params`.",
)
_PROGRAM = (
    "{what} runs a program, and a read is a query.",
    "Send the queries that it holds, or run it with pg_query write.",
)
_WORK = (
    "{what} is work for the server and no query, though PostgreSQL would allow it in a read.",
    "Send it with pg_query write.",
)
_LOCKS = (
    "A read keeps no locks: what {what} locks would be free again before you have the answer.",
    "Open a transaction with pg_tx begin, and send it there with pg_query write.",
)

_REFUSED_IN_A_READ: dict[str, Why] = {
    "TransactionStmt": _TRANSACTION,
    **dict.fromkeys(("VariableSetStmt", "ConstraintsSetStmt", "DiscardStmt"), _SETTINGS),
    **dict.fromkeys(("ListenStmt", "NotifyStmt", "UnlistenStmt"), _NOTIFICATIONS),
    **dict.fromkeys(("ClosePortalStmt", "DeclareCursorStmt", "FetchStmt"), _PREPARED),
    **dict.fromkeys(("DeallocateStmt", "ExecuteStmt", "PrepareStmt"), _PREPARED),
    **dict.fromkeys(("CheckPointStmt", "ClusterStmt", "LoadStmt", "ReindexStmt", "VacuumStmt"), _WORK),
    "CopyStmt": _COPY,
    "DoStmt": _PROGRAM,
    "LockStmt": _LOCKS,
}

# What a READ ONLY transaction still allows, by kinds of function.
_RUNS_STRINGS = "runs SQL from a string, which nobody has looked at"
_OTHER_BACKENDS = "reaches other connections"
_FILES = "reaches the server's file system"
_LARGE_OBJECTS = "is for writing large objects"
_LOG_AND_SLOTS = "acts on the write-ahead log or on replication"
_SERVER = "changes the server's state"
_PAST_ROLLBACK = "changes tables in a way that no rollback undoes"
_CONNECTIONS_LOCKS = "takes or frees locks that belong to the connection"
_CONNECTIONS_STATE = "leaves something on the connection for whoever has it next"
_IMAGINES = "leaves indexes that are only imagined to whoever has the connection next"
_READS_LOG = "reads the write-ahead log, in which everybody's rows are"
_REACHING_BEYOND: tuple[tuple[str, str], ...] = (
    (r"(?:query|cursor)_to_xml\w*|ts_stat|crosstab[234n]?|connectby|xpath_table|dblink", _RUNS_STRINGS),
    (r"dblink_(?:connect(?:_u)?|disconnect|exec|open|fetch|close|send_query|get_result|get_notify)", _RUNS_STRINGS),
    (r"dblink_(?:cancel_query|is_busy|error_message|get_connections|get_pkey|build_sql_\w+)", _RUNS_STRINGS),
    # Of extensions that do not come with PostgreSQL: pg_background, Citus, oracle_fdw, Amazon's aws_s3.
    (r"pg_background_\w+|run_command_on_\w+|oracle_execute|query_export_to_s3", _RUNS_STRINGS),
    (r"pg_(?:terminate|cancel)_backend|pg_log_backend_memory_contexts", _OTHER_BACKENDS),
    # PostgreSQL 15 and older have a pg_read_file_old() too.
    (r"pg_(?:read(?:_binary)?_file\w*|stat_file|ls_\w+|file_\w+|logdir_ls)", _FILES),
    (r"lo_(?:creat|create|open|close|import|export|put|from_bytea|unlink|manage|oid)", _LARGE_OBJECTS),
    (r"lo_(?:truncate|lseek|tell)(?:64)?|loread|lowrite", _LARGE_OBJECTS),
    (
        r"pg_(?:switch_(?:wal|xlog)|create_restore_point|logical_emit_message|promote|log_standby_snapshot)",
        _LOG_AND_SLOTS,
    ),
    (r"pg_(?:backup_\w+|start_backup|stop_backup|wal_replay_\w+|sync_replication_slots)", _LOG_AND_SLOTS),
    (r"pg_(?:create|copy|drop)_\w+_slot|pg_replication_(?:slot|origin)_\w+|pg_logical_slot_\w+", _LOG_AND_SLOTS),
    (r"pg_get_wal_(?:records?|block|fpi)_info\w*|pg_get_logical_snapshot_\w+", _READS_LOG),
    (r"heap_force_(?:kill|freeze)|pg_truncate_visibility_map", _PAST_ROLLBACK),
    (r"brin_(?:summarize_new_values|summarize_range|desummarize_range)|gin_clean_pending_list", _PAST_ROLLBACK),
    (r"pg_(?:reload_conf|rotate_logfile\w*|logfile_rotate|import_system_collations|nextoid)", _SERVER),
    (r"pg_stop_making_pinned_objects|pg_buffercache_(?:evict|mark_dirty)\w*", _SERVER),
    (r"pg_(?:try_)?advisory_lock(?:_shared)?|pg_advisory_unlock(?:_all|_shared)?", _CONNECTIONS_LOCKS),
    # What no rollback undoes: the seed of random(), and what isn keeps to be lenient.
    (r"setseed|isn_weak", _CONNECTIONS_STATE),
    (r"hypopg_(?:create_index|drop_index|hide_index|unhide_index|unhide_all_indexes|reset\w*)", _IMAGINES),
    (r"pg_stat_reset\w*|pg_stat_statements_reset|pg_prewarm|autoprewarm\w*", _SERVER),
)
_BEYOND = [(re.compile(names), what) for names, what in _REACHING_BEYOND]
_INSTEAD = {_IMAGINES: "Use pg_query explain with `hypothetical_indexes`."}
# Where none of these stands in a text, and no identifier is spelt in escapes, none of the functions is called.
_STEMS = (
    *("_to_xml", "ts_stat", "ts_rewrite", "crosstab", "connectby", "xpath_table", "dblink", "lo_", "loread", "lowrite"),
    *("pg_", "autoprewarm", "heap_force", "brin_", "gin_clean", "run_command_on", "oracle_execute", "query_export"),
    *("setseed", "isn_weak", 'u&"'),
)
_SET_CONFIG = ("set_config", 'u&"')
# What could not be parsed may still run if none of the names is in it as a word.
_NAMED = re.compile(rf'\b(?:{"|".join(names for names, _ in _REACHING_BEYOND)}|ts_rewrite)\b|u&"')

_ENDS = "The transaction ends by pg_tx, not by {what}, so that the gateway knows what became of it."
_COMMIT = (_ENDS, "Use pg_tx commit.")
_ROLLBACK = (_ENDS, "Use pg_tx rollback, with `savepoint_name` to keep what came before the savepoint.")
_TWO_PHASE = (
    "{what} would leave a transaction behind that no session owns.",
    "Commit with pg_tx commit, or roll back with pg_tx rollback.",
)
_BEGINS = (
    "Transactions are begun by pg_tx, not by {what}.",
    "Call pg_tx begin; or send the statements, without BEGIN and COMMIT, as `operations` of pg_query transaction.",
)
_SAVEPOINT = ("Savepoints are set by pg_tx, not by {what}.", "Use pg_tx savepoint with `savepoint_name`.")
_RELEASE = ("Savepoints are released by pg_tx, not by {what}.", "Use pg_tx release with `savepoint_name`.")

_TRANSACTION_CONTROL: dict[str, Why] = {
    "TRANS_STMT_BEGIN": _BEGINS,
    "TRANS_STMT_START": _BEGINS,
    "TRANS_STMT_COMMIT": _COMMIT,
    "TRANS_STMT_COMMIT_PREPARED": _COMMIT,
    "TRANS_STMT_ROLLBACK": _ROLLBACK,
    "TRANS_STMT_ROLLBACK_TO": _ROLLBACK,
    "TRANS_STMT_ROLLBACK_PREPARED": _ROLLBACK,
    "TRANS_STMT_PREPARE": _TWO_PHASE,
    "TRANS_STMT_SAVEPOINT": _SAVEPOINT,
    "TRANS_STMT_RELEASE": _RELEASE,
}
_CONTROL_UNREAD = (
    "Transactions are begun and ended by pg_tx, not by {what}.",
    "Use pg_tx begin, commit, rollback, savepoint and release.",
)

_CHARACTERISTICS = (
    "What kind of transaction this is was settled when it began: {what} comes too late.",
    "Begin another with pg_tx begin, which takes `isolation_level`, `read_only` and `deferrable`.",
)
_AUTHORIZATION = (
    "A session keeps the role of the gateway: {what} is not allowed.",
    "Ask the operator for a gateway with the role that you need.",
)
_BACKSTOP = (
    "By this setting PostgreSQL guards the session should the gateway be gone, so that {what} is not allowed.",
    "Pass `idle_timeout_s` to pg_tx begin, or leave it as it is.",
)
_TIME_LIMIT = ("The time limit of a statement is set by its call, not by {what}.", "Pass `timeout_ms`.")
_ENCODING = ("Texts travel as UTF-8 here, so that {what} is not allowed.", "Use convert() and convert_to() in SQL.")
_STRINGS = (
    "A backslash in a string is a backslash here, so that {what} is not allowed.",
    "Write such strings as E'…'.",
)
_ALL_SETTINGS = (
    "{what} would take away the limits that guard the session.",
    "Reset the settings that you mean, by name.",
)

# By their names as PostgreSQL's grammar gives them: SET TRANSACTION, SET NAMES and their like have names of their own.
_GUARDED_SETTINGS: dict[str, Why] = {
    **dict.fromkeys(
        ("transaction", "session characteristics", "transaction_isolation", "transaction_read_only"), _CHARACTERISTICS
    ),
    "transaction_deferrable": _CHARACTERISTICS,
    "session_authorization": _AUTHORIZATION,
    "idle_in_transaction_session_timeout": _BACKSTOP,
    "transaction_timeout": _BACKSTOP,
    "client_connection_check_interval": _BACKSTOP,
    "statement_timeout": _TIME_LIMIT,
    "client_encoding": _ENCODING,
    "standard_conforming_strings": _STRINGS,
}
# By a read neither: it is to run as the role that it was sent to, and to find PostgreSQL's functions.
_GUARDED_IN_A_READ: dict[str, Why] = {
    **_GUARDED_SETTINGS,
    "role": _AUTHORIZATION,
    "default_transaction_read_only": _CHARACTERISTICS,
}

_LISTENS = (
    "A notification has nowhere to go in a session: {what} would have no effect.",
    "Poll with a query instead.",
)
_COPY_STREAM = (
    "COPY can't stream to or from the gateway: its data has no place in a call.",
    "Insert with pg_query write (INSERT ... SELECT FROM unnest($1::int[], ...) takes many rows); read with SELECT.",
)
_OWN_STATEMENTS = ("{what} would drop the gateway's own prepared statements too.", "Deallocate yours by name.")
_FORGOTTEN = (
    "What {what} does lasts as long as a transaction or a connection, and without a session that is this call.",
    "Open a transaction with pg_tx begin, and send it there.",
)
_ALONE = (
    "PostgreSQL does not run {what} in a transaction.",
    "Send it by itself: pg_query write with `autocommit: true`, without `session_id`.",
)
_MAY_END = (
    "{what} may end transactions by itself, so that it can't be a part of one.",
    _ALONE[1],
)
_EXPLAIN = ("The `sql` begins with EXPLAIN itself.", "Leave EXPLAIN out of it.")
_SEVERAL = ("The SQL holds several statements; nothing was run.", "Send exactly one statement for each call.")
_COMMENTS = (
    "So many comments stand one upon the other that reading them would take PostgreSQL minutes, which nothing stops.",
    "Leave the comments out.",
)
_EMPTY = ("The SQL holds no statement.", "Send one statement.")

_REFUSED_WITHOUT_A_SESSION = {
    *("ClosePortalStmt", "DeallocateStmt", "DeclareCursorStmt", "DiscardStmt", "ExecuteStmt", "FetchStmt"),
    *("LockStmt", "PrepareStmt", "VariableSetStmt"),
}
# Of these it is the details that say whether they have a place in a session.
_NEED_THE_PARSER = {"CopyStmt", "DeallocateStmt", "PrepareStmt", "VariableSetStmt"}


# PostgreSQL's scanner looks at a whole run of operator characters again at each comment that begins in it.
_OPERATORS = re.compile(r"[-+*/<>=~!@#%^&|`?]{64,}")
_FEW_COMMENTS = 64
_MOST_LOOKS = 1_000_000


def check_read(sql: str) -> None:
    """Refuse a statement that can't be a read, before anything is sent.

    Raises:
        Refusal: `invalid_argument` for a text that PostgreSQL can't take, `statement_not_allowed` for an empty one, for
            several, for one that has no place in a read, and for one that calls a function that has none.
    """
    statement = _checked(sql)
    if why := _REFUSED_IN_A_READ.get(statement.node):
        raise _refusal(why, statement.verb)
    if statement.locks_rows and statement.node == "SelectStmt":
        raise _refusal(_LOCKS, "SELECT … FOR UPDATE or SHARE")
    _check_functions(statement)


def check_session_statement(sql: str) -> None:
    """Refuse a statement that has no place in a session's transaction, before anything is sent.

    Raises:
        Refusal: as `check_read`; `next` names what to use instead.
    """
    statement = _checked(sql)
    if statement.problem is not None and statement.node in _NEED_THE_PARSER:
        raise _unread(statement.problem, sql)
    if why := _unfit_for_a_session(statement):
        raise _refusal(why, statement.verb)
    if _holds_any(sql.lower(), _SET_CONFIG):
        _check_set_config(statement, _GUARDED_SETTINGS)


def check_lone_write(sql: str) -> None:
    """Refuse a statement that has no place in a call of its own.

    Raises:
        Refusal: as `check_session_statement`.
    """
    statement = _checked(sql)
    if statement.is_refused_in_a_block:
        return
    check_session_statement(sql)
    if statement.node in _REFUSED_WITHOUT_A_SESSION:
        raise _refusal(_FORGOTTEN, statement.verb)


def check_operation(sql: str) -> None:
    """Refuse a statement that has no place in a transaction that is committed as a whole.

    Raises:
        Refusal: as `check_session_statement`.
    """
    check_session_statement(sql)
    statement = understand(sql)
    if statement.ends_transactions:
        raise _refusal(_MAY_END, statement.verb)


def check_explained(sql: str, *, read_only: bool) -> None:
    """Refuse a statement that can't be explained.

    Args:
        sql: the statement.
        read_only: it is planned, and perhaps run, where PostgreSQL refuses writes: then it may not reach beyond that.

    Raises:
        Refusal: as `check_session_statement`.
    """
    check_session_statement(sql)
    statement = understand(sql)
    if statement.node == "ExplainStmt":
        raise _refusal(_EXPLAIN)
    if read_only:
        _check_functions(statement)


def _checked(sql: str) -> Statement:
    """A text that PostgreSQL can take, and that holds one statement as far as can be seen."""
    if "\0" in sql:
        raise Refusal(Code.INVALID_ARGUMENT, "The SQL contains a NUL character, which PostgreSQL can't take.")
    if sql.count("/*") > _FEW_COMMENTS:
        looks = (len(run) * run.count("/*") for run in _OPERATORS.findall(sql))
        if any(each > _MOST_LOOKS for each in looks):
            raise _refusal(_COMMENTS)
    try:
        statement = understand(sql)
    except UnicodeEncodeError:
        message = "The SQL is not valid Unicode, so it can't be sent to PostgreSQL."
        raise Refusal(Code.INVALID_ARGUMENT, message) from None
    if statement.count != 1:
        raise _refusal(_SEVERAL if statement.count else _EMPTY)
    return statement


def _unfit_for_a_session(statement: Statement) -> Why | None:
    node, fields = statement.node, statement.fields
    why: Why | None = None
    if statement.is_refused_in_a_block:
        why = _ALONE
    elif node == "TransactionStmt":
        why = _TRANSACTION_CONTROL.get(fields.get("kind", ""), _CONTROL_UNREAD)
    elif node == "VariableSetStmt":
        why = _ALL_SETTINGS if fields["kind"] == "VAR_RESET_ALL" else _GUARDED_SETTINGS.get(fields["name"].lower())
    elif node == "CopyStmt" and "filename" not in fields:
        why = _COPY_STREAM
    elif node == "ListenStmt":
        why = _LISTENS
    elif node == "DeallocateStmt" and fields.get("isall"):
        why = _OWN_STATEMENTS
    return why


def _check_functions(statement: Statement) -> None:
    lower = statement.sql.lower()
    if _holds_any(lower, _STEMS) and (statement.problem is None or _NAMED.search(lower)):
        _check_calls(statement)
    if _holds_any(lower, _SET_CONFIG):
        _check_set_config(statement, _GUARDED_IN_A_READ)


def _holds_any(text: str, parts: tuple[str, ...]) -> bool:
    for part in parts:  # noqa: SIM110 - any() takes three times as long
        if part in text:
            return True
    return False


def _check_calls(statement: Statement) -> None:
    for call in _calls(statement):
        if call.name == "ts_rewrite" and len(call.arguments) == 2:  # noqa: PLR2004 - the form that takes a query's text
            raise _reaches_beyond(call.name, _RUNS_STRINGS)
        for names, what in _BEYOND:
            if names.fullmatch(call.name):
                raise _reaches_beyond(call.name, what)


def _check_set_config(statement: Statement, guarded: dict[str, Why]) -> None:
    for call in _calls(statement):
        if call.name != "set_config":
            continue
        name = _literal(call.arguments[0] if call.arguments else None)
        if name is None and guarded is _GUARDED_SETTINGS:
            # What a session's statement does to these is noticed after it.
            continue
        if name is None:
            message = "Which setting set_config() changes can't be seen before it runs."
            step = "Give it the setting's name as a plain string."
            raise Refusal(Code.STATEMENT_NOT_ALLOWED, message, next=step)
        if why := guarded.get(name.lower()):
            raise _refusal(why, f"set_config('{name.lower()}', …)")


def _calls(statement: Statement) -> Iterable[Call]:
    try:
        return tuple(statement.calls())
    except Unparsable as problem:
        raise _unread(problem, statement.sql) from None


def _literal(argument: object) -> str | None:
    match argument:
        case {"A_Const": {"sval": {"sval": str(text)}}}:
            return text
        case {"TypeCast": {"arg": cast}}:
            return _literal(cast)
        case {"NamedArgExpr": {"name": "setting_name", "arg": named}}:
            return _literal(named)
    return None


def _reaches_beyond(name: str, what: str) -> Refusal:
    return _refusal(
        (
            f"The function {name}() {what}, which a read-only transaction does not keep it from.",
            _INSTEAD.get(what, "Do without it; or, if it must be, call it with pg_query write."),
        )
    )


def _unread(problem: Unparsable, sql: str) -> Refusal:
    """Only the parser could tell, and it can't: what it stumbled over, and where."""
    refusal = Refusal(
        Code.STATEMENT_NOT_ALLOWED,
        f"Whether this may run here could only be told by parsing it, and that failed: {problem}.",
        next="Correct it if it is a slip. If it is right, write it shorter or without the name that is in question, or "
        "send it with pg_query write.",
    )
    locate(refusal, sql, problem.position)
    return refusal


def _refusal(why: Why, what: str = "") -> Refusal:
    message, step = why
    return Refusal(Code.STATEMENT_NOT_ALLOWED, message.format(what=what), next=step)

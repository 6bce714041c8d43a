"""Messages of every form, right and wrong, and heads of requests of every kind: the label says what is odd."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.e2e.doors.asking import MODERN, call, envelope, http, message, params
from tests.e2e.doors.pair import Row, Served


def _rows(what: str, served: Served, requests: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> list[Row]:
    pairs = requests.items() if isinstance(requests, Mapping) else requests
    return [Row(f"{what} {label}"[:100], request, served) for label, request in pairs]


def _with_id(*ids: str) -> dict[str, bytes]:
    return {each[:40]: http(message(id=each)) for each in ids}


def _with_meta(*metas: str | None) -> dict[str, bytes]:
    return {str(each): http(message(params(meta=each))) for each in metas}


def _with_more(*members: str) -> dict[str, bytes]:
    return {each: http(message(params(meta=envelope(more=each)))) for each in members}


def _able(*capabilities: str) -> dict[str, bytes]:
    return {each: http(message(params(meta=envelope(capabilities=each)))) for each in capabilities}


def _client(*clients: str) -> dict[str, bytes]:
    return {each: http(message(params(meta=envelope(client=each)))) for each in clients}


def _arguing(*arguments: str | None) -> dict[str, bytes]:
    return {str(each)[:80]: http(message(params(each))) for each in arguments}


def _bodies(*bodies: str | bytes) -> dict[str, bytes]:
    return {ascii(each)[:80]: http(each or b"") for each in bodies}


def _lines(*more: str, without: str) -> dict[str, bytes]:
    """One line of the head in the place of another."""
    return {each[:60]: http("", each, without=[without]) for each in more}


def _nested(depth: int) -> str:
    return '{"action":"read","sql":"SELECT 1","params":[' + "[" * depth + "]" * depth + "]}"


_TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
_WHOLE = message()
_READ = '"action":"read","sql":"SELECT 1 AS one"'

IDS = [
    *_rows("id", "express", _with_id("0", "-1", "7", str(2**53), str(2**63 - 1), str(-(2**63)), "-0")),
    *_rows(
        "id",
        "express",
        _with_id('""', '"1"', '"ü🐘"', '"\\u0000"', '"' + "x" * 5000 + '"', '"\\ud83d\\ude00"', '"</id>"'),
    ),
    *_rows("id", "fastmcp", _with_id(str(2**63), str(10**30), "-9223372036854775809", '"\\ud800"')),
    *_rows("id", "neither", _with_id("1.0", "1e2", "1.5", "true", "null", "[]", "{}", "[1]")),
    Row("id missing", http(message(id=None)), "neither"),
]
ENVELOPES = [
    *_rows(
        "capabilities",
        "express",
        _able(
            '{"roots":{}}',
            '{"sampling":{}}',
            '{"elicitation":{}}',
            '{"elicitation":{"form":{},"url":{}}}',
            '{"sampling":{"tools":{},"context":{}}}',
            '{"experimental":{}}',
            '{"experimental":{"x":{"y":[1]}}}',
            '{"extensions":{"io.example/x":{}}}',
            '{"extensions":{"":{}}}',
            '{"roots":{},"sampling":{},"elicitation":{}}',
            '{"roots":{"listChanged":true}}',
            '{"roots":{"listChanged":"x"}}',
            '{"roots":{"listChanged":null}}',
            '{"roots":{"more":{}}}',
            '{"sampling":{"more":{}}}',
            '{"elicitation":{"more":{"x":1}}}',
            '{"elicitation":{"form":{"applyDefaults":true}}}',
        ),
    ),
    *_rows(
        "capabilities",
        "fastmcp",
        _able(
            '{"more":{}}',
            '{"roots":null}',
            '{"sampling":null}',
            '{"elicitation":null}',
            '{"experimental":null}',
            '{"extensions":null}',
            '{"sampling":{"tools":null}}',
            '{"tasks":{}}',
            '{"more":1}',
        ),
    ),
    *_rows(
        "capabilities",
        "neither",
        _able(
            "[]",
            "null",
            '"x"',
            "1",
            '{"roots":1}',
            '{"roots":[]}',
            '{"sampling":true}',
            '{"elicitation":{"form":1}}',
            '{"experimental":{"x":1}}',
            '{"experimental":[]}',
            '{"extensions":{"x":null}}',
            '{"extensions":{"x":[]}}',
            '{"sampling":{"tools":1}}',
        ),
    ),
    *_rows(
        "client",
        "express",
        _client(
            '{"name":"a","version":"1"}',
            '{"name":"","version":""}',
            '{"name":"ü","version":"🐘","title":"t","description":"d","websiteUrl":"https://example.org"}',
            '{"version":"1","name":"a","websiteUrl":"no URL"}',
        ),
    ),
    *_rows(
        "client",
        "fastmcp",
        _client(
            "null",
            '{"name":"a","version":"1","icons":[{"src":"x"}]}',
            '{"name":"a","version":"1","more":1}',
            '{"name":"a","version":"1","title":null}',
            '{"name":"a","version":"1","icons":null}',
        ),
    ),
    *_rows(
        "client",
        "neither",
        _client(
            "{}",
            '{"name":"a"}',
            '{"version":"1"}',
            '{"name":1,"version":"1"}',
            '{"name":"a","version":null}',
            "[]",
            '"a"',
            '{"name":"a","version":"1","title":1}',
            '{"name":"a","version":"1","icons":1}',
        ),
    ),
    *_rows(
        "_meta",
        "neither",
        _with_meta(
            None,
            "null",
            "[]",
            '"x"',
            "{}",
            envelope(capabilities=None),
            '{"io.modelcontextprotocol/clientCapabilities":{}}',
            envelope('"2025-11-25"'),
            envelope('"2099-01-01"'),
            envelope("null"),
            envelope("1"),
            envelope('""'),
            envelope(f'"{MODERN} "'),
        ),
    ),
    *_rows(
        "_meta with",
        "express",
        _with_more(
            f'"traceparent":"{_TRACE}"',
            '"traceparent":""',
            '"traceparent":"x"',
            '"progressToken":1',
            '"progressToken":"p"',
            '"progressToken":""',
            '"progressToken":-1000000000000000000000000000000',
            '"tracestate":"a=1,b=2"',
            '"baggage":"k=v,ü=1"',
            '"tracestate":""',
            f'"traceparent":"{_TRACE}","tracestate":"a=1","baggage":"a=b"',
            f'"traceparent":"{_TRACE.upper()}"',
            f'"traceparent":"ff{_TRACE[2:]}"',
            f'"traceparent":"cc{_TRACE[2:]}-more"',
            '"traceparent":"00-00000000000000000000000000000000-b7ad6b7169203331-01"',
            f'"traceparent":"{_TRACE[:-1]}"',
            '"traceparent":"00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01"',
        ),
    ),
    *_rows(
        "_meta with",
        "fastmcp",
        _with_more(
            '"progressToken":1.0',
            '"progressToken":true',
            '"io.modelcontextprotocol/logLevel":"info"',
            '"io.modelcontextprotocol/logLevel":"debug"',
            '"io.modelcontextprotocol/logLevel":null',
            '"more":1',
            '"example.org/x":{"a":[1]}',
            '"traceparent":1',
            '"traceparent":null',
            '"tracestate":[]',
            '"baggage":{}',
            '"io.modelcontextprotocol/more":1',
            '"serverInfo":{}',
            '"io.modelcontextprotocol/related-task":{}',
            '"":1',
        ),
    ),
    *_rows(
        "_meta with",
        "neither",
        _with_more(
            '"progressToken":null',
            '"progressToken":1.5',
            '"progressToken":[]',
            '"io.modelcontextprotocol/logLevel":"loud"',
        ),
    ),
    *_rows(
        "header and _meta trace",
        "express",
        {
            "header": http("", f"traceparent: {_TRACE}"),
            "wrong header": http("", "traceparent: x"),
            "header twice handled apart": http("", "tracestate: a=1", "tracestate: b=2"),
            "both": http(
                message(params(meta=envelope(more=f'"traceparent":"{_TRACE}"'))),
                f"Traceparent: {_TRACE.replace('0af', '1af')}",
            ),
            "empty in _meta": http(message(params(meta=envelope(more='"traceparent":""'))), f"traceparent: {_TRACE}"),
            "latin-1 header": http("", "traceparent: \udcfc"),
        },
    ),
    Row(
        "progress of a tool that tells it",
        http(
            message(
                params(
                    '{"action":"settings","setting_name":"work_mem"}',
                    name='"pg_admin"',
                    meta=envelope(more='"progressToken":1'),
                )
            ),
            "Mcp-Name: pg_admin",
            without=["Mcp-Name"],
        ),
        "fastmcp",
    ),
    Row("header traceparent twice", http("", f"traceparent: {_TRACE}", "traceparent: x"), "fastmcp"),
]
# https://www.w3.org/TR/trace-context/#versioning-of-traceparent
TRACES = [
    *_rows(
        "trace",
        "express",
        {
            "of version 0 with more behind it": http(
                message(params(meta=envelope(more=f'"traceparent":"{_TRACE}-more"')))
            ),
            "with space around it": http(message(params(meta=envelope(more=f'"traceparent":" {_TRACE} "')))),
            "wrong in _meta and right in the head": http(
                message(params(meta=envelope(more='"traceparent":"x"'))), f"traceparent: {_TRACE}"
            ),
        },
    ),
]
PARAMS = [
    *_rows(
        "arguments",
        "express",
        _arguing(
            "null",
            None,
            "{}",
            '{"action":"read","sql":"SELECT 1","sql":"SELECT 2"}',
            '{"action":"read","sql":"SELECT $1::float8","params":[1e-400]}',
            '{"action":"read","sql":"SELECT $1::numeric","params":[1e5]}',
            '{"action":"read","sql":"SELECT $1::int","params":[-0]}',
            '{"action":"read","sql":"SELECT $1::float8","params":[-0.0]}',
            '{"action":"read","sql":"SELECT $1::numeric","params":[123456789.123456789123456789]}',
            '{"action":"read","sql":"SELECT $1::numeric","params":[18446744073709551616]}',
            '{"action":"read","sql":"SELECT $1::text","params":["\\ud83d\\ude00\\/\\u00fc"]}',
            '{"action":"read","sql":"SELECT $1::jsonb","params":[{"a":1,"a":2}]}',
            '{"\\u0000":1}',
            '{"":1}',
            '{"action":"read","sql":"SELECT 1 -- \\u202e\\u200f"}',
            '{"action":"read","sql":"SELECT $1::numeric","params":[' + "9" * 400 + "]}",
            _nested(10),
            _nested(100),
            _nested(250),
            _nested(400),
            _nested(600),
        ),
    ),
    *_rows(
        "arguments",
        "fastmcp",
        _arguing(
            '{"action":"read","sql":"SELECT $1::float8","params":[NaN]}',
            '{"action":"read","sql":"SELECT $1::float8","params":[-Infinity]}',
            '{"action":"read","sql":"SELECT $1::float8","params":[1e400]}',
            '{"action":"read","sql":"SELECT \'\\ud800\'"}',
            '{"action":"read","sql":"SELECT $1","params":["\\udc00"]}',
            '{"\\ud800":1}',
        ),
    ),
    *_rows("arguments", "neither", _arguing("[]", '"x"', "1", "true", '["action"]')),
    *_rows(
        "name",
        "neither",
        {
            each: http(message(params(name=each)), "Mcp-Name: pg_query", without=["Mcp-Name"])
            for each in ('"pg_tx"', '"nothing"', '""', '"PG_QUERY"', "1", "null", "[]", '"pg_query "')
        },
    ),
    Row("name missing", http(message(params(name=None))), "neither"),
    Row("unknown tool", http(message(params(name='"nothing"')), "Mcp-Name: nothing", without=["Mcp-Name"]), "neither"),
    Row(
        "unknown tool, ü",
        http(message(params(name='"ü"')), "Mcp-Name: =?base64?w7w=?=", without=["Mcp-Name"]),
        "neither",
    ),
    *_rows(
        "params with",
        "fastmcp",
        {
            each: http(message(params(**{each: value})))
            for each, value in {
                "task": "{}",
                "inputResponses": "{}",
                "unknown": "1",
                "Name": '"pg_tx"',
                "cursor": "null",
                "_meta2": "{}",
            }.items()
        },
    ),
    *_rows(
        "params with",
        "neither",
        {
            f"{each} {value}": http(message(params(**{each: value})))
            for each, value in (("inputResponses", "1"), ("requestState", "1"), ("requestState", '"x"'))
        },
    ),
    *_rows(
        "params", "neither", {str(each): http(message(each)) for each in (None, "null", "[]", '"x"', "1", "{}", "[{}]")}
    ),
    *_rows("top", "fastmcp", {each: http(message(**{each: "1"})) for each in ("more", "_meta")}),
    *_rows(
        "top",
        "neither",
        {
            "jsonrpc 1.0": http(message(jsonrpc='"1.0"')),
            "jsonrpc 2": http(message(jsonrpc="2.0")),
            "no jsonrpc": http(message(jsonrpc=None)),
            "null method": http(message(method="null")),
            "no method": http(message(method=None)),
            "tools/list": http(message(method='"tools/list"')),
            "wrong method": http(message(method='"tools/Call"')),
            "method 1": http(message(method="1")),
            "notification": http('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}'),
            "notified call": http(message(id=None)),
            "response": http('{"jsonrpc":"2.0","id":1,"result":{}}'),
            "error": http('{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}'),
        },
    ),
]
TWICE = [
    *_rows(
        "twice",
        "express",
        {
            "id": http(_WHOLE[:-1] + ',"id":2}'),
            "method": http('{"method":"tools/call",' + _WHOLE[1:]),
            "_meta": http(message(params()[:-1] + f',"_meta":{envelope()}' + "}")),
            "arguments, then null": http(message(params()[:-1] + ',"arguments":null}')),
            "params": http(message()[:-1] + f',"params":{params("{" + _READ + "}")}' + "}"),
            "capabilities": http(
                message(params(meta=envelope(more='"io.modelcontextprotocol/clientCapabilities":{"roots":{}}')))
            ),
            "traceparent": http(message(params(meta=envelope(more=f'"traceparent":"x","traceparent":"{_TRACE}"')))),
            "name": http(message('{"name":"pg_tx",' + params()[1:])),
            "version": http(message(params(meta='{"io.modelcontextprotocol/protocolVersion":"x",' + envelope()[1:]))),
        },
    ),
    *_rows(
        "twice",
        "neither",
        {
            "name, the last another": http(message(params()[:-1] + ',"name":"pg_tx"}')),
            "id, the last null": http(_WHOLE[:-1] + ',"id":null}'),
            "_meta, the last empty": http(message(params()[:-1] + ',"_meta":{}}')),
            "version, the last another": http(
                message(params(meta=envelope(more='"io.modelcontextprotocol/protocolVersion":"x"')))
            ),
            "params, the last without _meta": http(message()[:-1] + ',"params":{"name":"pg_query"}}'),
            "jsonrpc, the last another": http(_WHOLE[:-1] + ',"jsonrpc":"1.0"}'),
        },
    ),
    *_rows(
        "twice",
        "fastmcp",
        {
            "id, the first null": http('{"id":null,' + _WHOLE[1:]),
            "_meta, the first null": http(message('{"_meta":null,' + params()[1:])),
        },
    ),
]
BODIES = [
    *_rows(
        "space",
        "express",
        _bodies(
            " " + _WHOLE,
            _WHOLE + "\n",
            "\t\r\n" + _WHOLE.replace(",", " , ").replace(":{", " : {"),
            _WHOLE + " " * 100_000,
        ),
    ),
    *_rows(
        "body",
        "neither",
        _bodies(
            " ",
            "null",
            "1",
            '"x"',
            "[]",
            f"[{_WHOLE}]",
            f"[{_WHOLE},{_WHOLE}]",
            "{}",
            _WHOLE + _WHOLE,
            _WHOLE + "x",
            _WHOLE + "\x00",
            "\x00" + _WHOLE,
            "\x0c" + _WHOLE,
            "{" + _WHOLE,
            "'" + _WHOLE,
            _WHOLE.replace('"', "'"),
            _WHOLE[:-1] + ",}",
            "//\n" + _WHOLE,
            _WHOLE.encode()[:-2] + b"\xff}",
            _WHOLE.replace("one", "on\x01e"),
            _WHOLE.replace("one", "on\\xe"),
            _WHOLE.replace("one", "one\\u12"),
            _WHOLE.replace("SELECT 1", "SELECT \n"),
            _WHOLE.replace('"id":1', '"id":01'),
            _WHOLE.replace('"id":1', '"id":+1'),
            _WHOLE.replace('"id":1', '"id":' + "9" * 5000),
            "tru",
            "NaN",
            "[NaN]",
            "-",
            '"',
            "\xff",
        ),
    ),
    *_rows(
        "other encoding",
        "fastmcp",
        _bodies(*(_WHOLE.encode(each) for each in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32"))),
    ),
    *_rows(
        "not UTF-8",
        "neither",
        _bodies(_WHOLE.replace("one", "önè").encode("latin-1"), _WHOLE.replace("one", "o\0ne").encode()),
    ),
    Row("surrogate as bytes", http(_WHOLE.replace("one", "o\ud800ne")), "fastmcp"),
    Row("empty body", http(b""), "neither"),
    Row("empty body without length", http(b"", length=None), "neither"),
    *_rows("truncated", "neither", {str(at): http(_WHOLE.encode()[:at]) for at in range(1, len(_WHOLE), 9)}),
    *_rows(
        "nested", "neither", {str(depth): http(message(params(_nested(depth)))) for depth in (2_000, 3_000, 20_000)}
    ),
    *_rows(
        "nested elsewhere",
        "neither",
        {str(depth): http('{"a":' * depth + "1" + "}" * depth) for depth in (1_000, 3_000)},
    ),
    Row(
        "nested 100 in capabilities",
        http(message(params(meta=envelope('"2026-07-28"', '{"roots":{"x":' + "[" * 100 + "]" * 100 + "}}")))),
    ),
]
LARGE = [
    *_rows(
        "large",
        "express",
        {
            str(size): call(
                "pg_query", action="read", sql="SELECT length($1::text), md5($1::text)", params=["ü" * (size // 12)]
            )
            for size in (100_000, 900_000)
        },
    ),
    *_rows(
        "large SQL",
        "express",
        {
            str(size): call("pg_query", action="read", sql="SELECT 1 AS one /*" + "x" * size + "*/")
            for size in (100_000, 1_000_000)
        },
    ),
    *_rows(
        "large",
        "fastmcp",
        {
            str(size): call(
                "pg_query", action="read", sql="SELECT length($1::text), md5($1::text)", params=["x" * size]
            )
            for size in (1_500_000, 3_000_000)
        },
    ),
    *_rows(
        "too large",
        "neither",
        {"5 MB": call("pg_query", action="read", sql="SELECT $1::text", params=["x" * 5_000_000])},
    ),
]

_CHUNKED = f"{len(_WHOLE):x}\r\n{_WHOLE}\r\n0\r\n\r\n".encode()
_PIECES = (
    "".join(f"{len(each):x};x=y\r\n{each}\r\n" for each in (_WHOLE[:10], _WHOLE[10:50], _WHOLE[50:]))
    + "0\r\nX-Trailer: 1\r\n\r\n"
)
HEADS = [
    *_rows(
        "accept",
        "express",
        _lines(
            "accept: application/json,text/event-stream",
            "Accept: text/event-stream, application/json",
            "ACCEPT: application/json;q=0.5, text/event-stream;q=0",
            "Accept: */*, application/json, text/event-stream",
            "Accept:   APPLICATION/JSON  ;  charset=utf-8 ,  Text/Event-Stream  ",
            "Accept: application/json, text/event-stream, text/html",
            "Accept:application/json,,text/event-stream,",
            without="Accept",
        ),
    ),
    *_rows(
        "accept",
        "fastmcp",
        _lines(
            "Accept: */*",
            "Accept: application/*, text/*",
            "Accept: application/json, text/*",
            "Accept: text/html, */*;q=0.1",
            without="Accept",
        ),
    ),
    *_rows(
        "accept",
        "neither",
        _lines(
            "X-None: 1",
            "Accept: ",
            "Accept: application/json",
            "Accept: text/event-stream",
            "Accept: application/*",
            "Accept: application/jsonx, text/event-stream",
            "Accept: application/json; text/event-stream",
            "Accept: \udcfc",
            without="Accept",
        ),
    ),
    Row("accept twice, the first both", http("", "Accept: text/html"), "fastmcp"),
    Row(
        "accept twice, one each",
        http("", "Accept: application/json", "Accept: text/event-stream", without=["Accept"]),
        "neither",
    ),
    *_rows(
        "content type",
        "express",
        _lines(
            "Content-Type: application/json; charset=utf-8",
            "content-type: APPLICATION/JSON",
            "Content-Type:application/json;charset=latin-1",
            "Content-Type: application/jsonx",
            "Content-Type: application/json-patch+json",
            "Content-Type: application/json, text/plain",
            without="Content-Type",
        ),
    ),
    *_rows(
        "content type",
        "neither",
        _lines(
            "X-None: 1",
            "Content-Type: text/plain",
            "Content-Type: ",
            "Content-Type: text/json",
            "Content-Type: ; application/json",
            "Content-Type: multipart/form-data",
            without="Content-Type",
        ),
    ),
    *_rows(
        "version",
        "neither",
        _lines(
            "X-None: 1",
            "MCP-Protocol-Version: ",
            "MCP-Protocol-Version: 2025-11-25",
            "MCP-Protocol-Version: 2025-06-18",
            "MCP-Protocol-Version: 2024-11-05",
            "MCP-Protocol-Version: 2099-01-01",
            "MCP-Protocol-Version: x",
            "MCP-Protocol-Version: 2026-07-28, 2026-07-28",
            "MCP-Protocol-Version: \udcff",
            without="MCP-Protocol-Version",
        ),
    ),
    Row("version in odd case", http("", "mCP-pROTOCOL-vERSION:2026-07-28", without=["MCP-Protocol-Version"])),
    Row("version with tabs", http("", "MCP-Protocol-Version: \t2026-07-28 \t", without=["MCP-Protocol-Version"])),
    *_rows(
        "method",
        "neither",
        _lines(
            "X-None: 1",
            "Mcp-Method: ",
            "Mcp-Method: tools/Call",
            "Mcp-Method: tools/list",
            "Mcp-Method: =?base64?dG9vbHMvY2FsbA==?=",
            "Mcp-Method: tools/call, tools/call",
            without="Mcp-Method",
        ),
    ),
    *_rows(
        "name",
        "neither",
        _lines(
            "X-None: 1",
            "Mcp-Name: ",
            "Mcp-Name: pg_tx",
            "Mcp-Name: PG_QUERY",
            "Mcp-Name: nothing",
            "Mcp-Name: =?base64?cGdfcXVlcnk?=",
            "Mcp-Name: =?base64?!!?=",
            "Mcp-Name: =?base64?cGdfdHg=?=",
            "Mcp-Name: =?BASE64?cGdfcXVlcnk=?=",
            "Mcp-Name: =?base64??=",
            "Mcp-Name: =?base64?/w==?=",
            "Mcp-Name: pg_query, pg_query",
            "Mcp-Name: \udcfc",
            without="Mcp-Name",
        ),
    ),
    Row("name as base64", http("", "Mcp-Name: =?base64?cGdfcXVlcnk=?=", without=["Mcp-Name"]), "fastmcp"),
    *_rows(
        "twice",
        "neither",
        {
            each: http("", each)
            for each in (
                f"MCP-Protocol-Version: {MODERN}",
                "mcp-method: tools/call",
                "MCP-NAME: pg_query",
                "Mcp-Name: x",
                "MCP-Protocol-Version: 2025-06-18",
            )
        },
    ),
    Row("content type twice", http("", "Content-Type: application/json"), "fastmcp"),
    Row("content type twice, the last another", http("", "Content-Type: text/plain"), "fastmcp"),
    *_rows(
        "beside",
        "express",
        {
            each[:50]: http("", each)
            for each in (
                "Mcp-Param-Sql: SELECT 1",
                "Mcp-Param-Action: x",
                "Mcp-Session-Id: abc",
                "Last-Event-Id: 1",
                "Authorization: Bearer x",
                "Cookie: a=b",
                "X-Odd: \udcfc",
                "X-Long: " + "x" * 20_000,
                "Connection: close",
                "Connection: keep-alive",
                "Accept-Encoding: gzip",
                "Content-Encoding: gzip",
                "Expect: 100-continue",
                "Expect: nothing",
                "TE: trailers",
                "X-Forwarded-Proto: https",
                "Forwarded: host=x",
                "Upgrade-Insecure-Requests: 1",
                "Range: bytes=0-1",
                "If-None-Match: *",
                "X-HTTP-Method-Override: GET",
                "Host2: x",
            )
        },
    ),
    *_rows(
        "upgrade",
        "neither",
        {
            "websocket": http("", "Upgrade: websocket", "Connection: Upgrade"),
            "h2c": http("", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQ"),
        },
    ),
    *_rows(
        "host",
        "express",
        _lines(
            "Host: localhost",
            "Host: localhost:80",
            "host: LOCALHOST",
            "Host: [::1]",
            "Host: localhost:x",
            without="Host",
        ),
    ),
    *_rows(
        "host",
        "neither",
        _lines(
            "X-None: 1",
            "Host: ",
            "Host: evil.example",
            "Host: 127.0.0.1.evil.example",
            "Host: 127.0.0.1@evil.example",
            "Host: \udcfc",
            without="Host",
        ),
    ),
    Row("host twice, the first known", http("", "Host: evil.example")),
    Row("host twice, the last known", http("", "Host: evil.example", "Host: 127.0.0.1", without=["Host"]), "neither"),
    *_rows(
        "origin",
        "neither",
        {
            each: http("", each)
            for each in (
                "Origin: https://evil.example",
                "Origin: null",
                "Origin: x",
                "Origin: http://127.0.0.1.evil.example",
            )
        },
    ),
    *_rows(
        "http",
        "express",
        {
            "1.0": http("", start="POST /mcp HTTP/1.0"),
            "1.0, kept": http("", "Connection: keep-alive", start="POST /mcp HTTP/1.0"),
            "query": http("", start="POST /mcp?x=1 HTTP/1.1"),
            "escaped": http("", start="POST /%6dcp HTTP/1.1"),
            "absolute": http("", start="POST http://127.0.0.1/mcp HTTP/1.1"),
            "fragment": http("", start="POST /mcp#x HTTP/1.1"),
        },
    ),
    *_rows(
        "path",
        "neither",
        {
            each: http("", start=f"POST {each} HTTP/1.1")
            for each in (
                "/mcp/",
                "/MCP",
                "/",
                "/mcp/x",
                "//mcp",
                "/mcp%2f",
                "/mcp;x",
                "/health",
                "/metrics",
                "*",
                "/../mcp",
                "/mcp%00",
            )
        },
    ),
    *_rows(
        "verb",
        "neither",
        {
            each: http("", start=f"{each} /mcp HTTP/1.1")
            for each in ("GET", "DELETE", "PUT", "HEAD", "OPTIONS", "PATCH", "TRACE", "QUERY", "post", "FOO")
        },
    ),
    *_rows(
        "verb without a body",
        "neither",
        {
            each: http(b"", start=f"{each} /mcp HTTP/1.1", length=None)
            for each in ("GET", "DELETE", "HEAD", "OPTIONS", "POST")
        },
    ),
    *_rows(
        "chunked",
        "fastmcp",
        {
            "once": http(_CHUNKED, "Transfer-Encoding: chunked", length=None),
            "in pieces": http(_PIECES, "transfer-encoding: Chunked", length=None),
        },
    ),
    *_rows(
        "framing",
        "neither",
        {
            "chunked and a length": http(_CHUNKED, "Transfer-Encoding: chunked"),
            "gzip": http("", "Transfer-Encoding: gzip"),
            "wrong chunk": http("zz\r\n" + _WHOLE, "Transfer-Encoding: chunked", length=None),
            **{
                f"length {each}": http("", length=each)
                for each in ("0", "10", "x", "-1", "+5", "1.0", "0x10", "9" * 30, "1, 1", " ")
            },
            "two lengths": http("", "Content-Length: 5"),
            "no length": http("", length=None),
        },
    ),
    Row("length too small by one", http("", length=str(len(_WHOLE) - 1)), "neither"),
    Row("length with zeros", http("", length=f"000{len(_WHOLE)}"), "express"),
    Row("length with many zeros", http("", length=f"{'0' * 12}{len(_WHOLE)}"), "fastmcp"),
    Row("empty lines before", b"\r\n\r\n" + http()),
    *_rows(
        "no HTTP",
        "neither",
        {
            ascii(each)[:40]: each
            for each in (
                b"x\r\n\r\n",
                b"POST /mcp\r\n\r\n",
                b"POST /mcp HTTP/2.0\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
                http("", "no colon"),
                http("", " folded: 1"),
                http("", "a b: 1"),
                http("", ": none"),
                http("", "x\x00: 1"),
                http("", "x: a\x00b"),
                http().replace(b"\r\n", b"\n"),
            )
        },
    ),
]

"""The calls that the express lane understands, and their replies, as JSON-RPC messages.

What is understood is said by types: a message that has anything more in it, or anything else, is none of them. They are
a part of what FastMCP accepts, and mean the same there; tests/e2e/doors hold both to that.
https://modelcontextprotocol.io/specification/2026-07-28/basic
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from coldquery.mcp.rendering import ToolReply

MODERN = "2026-07-28"
CONNECTION_CLOSED, INTERNAL_ERROR = -32000, -32603

type _Objects = dict[str, dict[str, Any]]
# Larger integers can't be written by msgspec.
type _Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | str


class _Implementation(Struct, forbid_unknown_fields=True):
    name: str
    version: str
    title: str = ""
    description: str = ""
    website_url: str = msgspec.field(default="", name="websiteUrl")


class _Capabilities(Struct, forbid_unknown_fields=True):
    elicitation: _Objects = {}
    experimental: _Objects = {}
    extensions: _Objects = {}
    roots: dict[str, Any] = {}
    sampling: _Objects = {}


class _Envelope(Struct, forbid_unknown_fields=True):
    version: str | UnsetType = msgspec.field(default=UNSET, name="io.modelcontextprotocol/protocolVersion")
    capabilities: _Capabilities | UnsetType = msgspec.field(
        default=UNSET, name="io.modelcontextprotocol/clientCapabilities"
    )
    client: _Implementation | UnsetType = msgspec.field(default=UNSET, name="io.modelcontextprotocol/clientInfo")
    progress: int | str | UnsetType = msgspec.field(default=UNSET, name="progressToken")
    traceparent: str = ""
    tracestate: str = ""
    baggage: str = ""


class _Params(Struct, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] | None = None
    meta: _Envelope = msgspec.field(default_factory=_Envelope, name="_meta")


class CallFrame(Struct, forbid_unknown_fields=True):
    """A request to call a tool."""

    jsonrpc: Literal["2.0"]
    id: _Id
    method: Literal["tools/call"]
    params: _Params

    @property
    def wants_progress(self) -> bool:
        """It asks to be told of the call's progress."""
        return self.params.meta.progress is not UNSET

    @property
    def is_modern(self) -> bool:
        """It carries the envelope of the 2026-07-28 revision, whole."""
        meta = self.params.meta
        return meta.version == MODERN and meta.capabilities is not UNSET

    @property
    def is_bare(self) -> bool:
        """It carries nothing of an envelope, as before that revision."""
        meta = self.params.meta
        return meta.version is UNSET and meta.capabilities is UNSET and meta.client is UNSET


_decode = msgspec.json.Decoder(CallFrame).decode
_encode = msgspec.json.Encoder().encode


def understood(message: bytes) -> CallFrame | None:
    """The call in a message; None for everything else."""
    try:
        return _decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def answered(frame: CallFrame, reply: ToolReply, meta: Mapping[str, Any]) -> bytes:
    """What the tool said, in the frame's era. `meta` is of the server, and only in results of the newer one."""
    result: dict[str, Any] = {"_meta": meta} if frame.is_modern else {}
    result["content"] = [{"type": "text", "text": each} for each in reply.texts]
    result["isError"] = reply.is_error
    if frame.is_modern:
        result["resultType"] = "complete"
    if reply.structured is not None:
        result["structuredContent"] = msgspec.Raw(reply.texts[-1].encode())
    return _encode({"jsonrpc": "2.0", "id": frame.id, "result": result})


def failed(frame: CallFrame, code: int, message: str) -> bytes:
    """That there is no reply."""
    return _encode({"jsonrpc": "2.0", "id": frame.id, "error": {"code": code, "message": message}})

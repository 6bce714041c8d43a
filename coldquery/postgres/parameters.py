"""What a JSON value becomes to fit the type that PostgreSQL wants for a parameter, or why it does not fit.

A fit turns a value (never None: null fits every type) into what the type's codec takes: the value itself for the few
types that travel in binary, PostgreSQL's text for all others. Nothing is guessed: a number is no text and no boolean,
and what would lose digits is refused. A refusal names the parameter and the type, and never repeats the value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

from coldquery.errors import Cause, Code, Refusal

type Fit = Callable[[Any], Any]

_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,4000}\s*", re.ASCII)

# As PostgreSQL reads a boolean's text: https://www.postgresql.org/docs/current/datatype-boolean.html
_BOOLEANS = {
    **dict.fromkeys(("t", "tr", "tru", "true", "y", "ye", "yes", "on", "1"), True),
    **dict.fromkeys(("f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0"), False),
}

# The last line of what an error of Bind carries as its context, in whatever language: a parameter's number at its end,
# or before its value, with `log_parameter_max_length_on_error`.
_CONTEXT = re.compile(r"^(unnamed portal parameter )?[^\n$\"'\u00bb]*\$(\d+)(?: = .*)?\Z", re.MULTILINE | re.DOTALL)
_QUOTED = re.compile(r'".*"', re.DOTALL)

_STRINGS = {"text", "varchar", "bpchar", "name"}

_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a string",
    dict: "an object",
    list: "an array",
    tuple: "an array",
}


class Unfit(ValueError):  # noqa: N818 - it is told to the caller, who did nothing wrong but pass it
    """A parameter does not fit its type.

    Attributes:
        reason: why, without the value.
        number: which parameter, counted from 1.
        path: where in the parameter: "" for all of it, "[2]", ".price", "[2].price".
        type_name: the type that was wanted there.
        expects: what to pass there.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.number = 0
        self.path = ""
        self.type_name = ""
        self.expects = ""

    def at(self, step: str, type_name: str, expects: str) -> Unfit:
        """The same, told by what holds the misfit; the innermost type is the one that is named."""
        self.path = step + self.path
        self.type_name = self.type_name or type_name
        self.expects = self.expects or expects
        return self

    def refusal(self, cause: Cause | None = None) -> Refusal:
        """The error for the caller."""
        name = f"${self.number}{self.path}"
        place = f"for {name}, within element {self.number}" if self.path else f"as element {self.number}"
        other = "int" if self.type_name in _STRINGS else "text"
        return Refusal(
            Code.INVALID_ARGUMENT,
            f"Parameter {name} does not fit {self.type_name}: {self.reason}.",
            next=f"Pass {self.expects} {place} of `params`, or name the type that you pass: ${self.number}::{other}.",
            cause=cause,
        )


def given(value: object) -> Unfit:
    """The misfit of a value whose JSON kind is wrong altogether."""
    return Unfit(f"{_KINDS.get(type(value), 'what JSON has not')} was given")


def text(value: Any) -> str:
    """A string, as it is."""
    if not isinstance(value, str):
        raise given(value)
    if "\0" in value:
        raise Unfit("it holds a NUL character, which PostgreSQL's text can't")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Unfit("it is not valid Unicode: half of a surrogate pair stands alone") from None
    return value


def boolean(value: Any) -> bool:
    """True, false, or one of PostgreSQL's words for them."""
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise given(value)
    word = _BOOLEANS.get(value.strip().lower())
    if word is None:
        raise Unfit("its text is neither true nor false")
    return word


def integer(low: int, high: int) -> Callable[[Any], int]:
    """A fit for whole numbers: 5, 5.0 or "5"."""

    def fit(value: Any) -> int:
        if isinstance(value, int):
            if isinstance(value, bool):
                raise given(value)
            number = value
        elif isinstance(value, float):
            if not value.is_integer():
                raise Unfit("it is not a whole number")
            number = int(value)
        elif isinstance(value, str):
            if not _INTEGER.fullmatch(value):
                raise Unfit("its text is not a whole number")
            number = int(value)
        else:
            raise given(value)
        if low <= number <= high:
            return number
        raise Unfit(f"it is out of range, {low} to {high}")

    return fit


def integer_text(low: int, high: int) -> Callable[[Any], str]:
    """The same for a type that travels as text."""
    whole = integer(low, high)
    return lambda value: str(whole(value))


def number(value: Any) -> str:
    """A number or its text. Which digits a number has is what JSON said, so nothing is rounded here."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float) and not math.isfinite(value):
        # Whoever wrote 1e400 did not mean infinity; who does writes "Infinity", as it comes back.
        raise Unfit("it is no finite number, or one too large for a JSON number, and needs to be a string")
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return repr(value)
        except ValueError:  # https://docs.python.org/3/library/stdtypes.html#int-max-str-digits
            raise Unfit("it has too many digits for a JSON number, and needs to be a string") from None
    raise given(value)


def identifier(value: Any) -> str:
    """A name, or the number behind it: for regclass and its like, xid and its like."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def json_text(value: Any) -> str:
    """A string is taken as JSON text already, as psql takes it; everything else is encoded."""
    if isinstance(value, str):
        return text(value)
    try:
        # Not msgspec's encoder, which makes null of infinities and refuses integers beyond 64 bits.
        return text(json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":")))
    except RecursionError:
        raise Unfit("it is nested too deeply") from None
    except Unfit:
        raise
    except (TypeError, ValueError):
        raise Unfit("it holds what JSON can't, such as an infinity or NaN") from None


def vector(value: Any) -> str:
    """Pgvector's vector and halfvec: an array of numbers, or their text."""
    if isinstance(value, list | tuple):
        return "[" + ",".join([number(each) for each in _numbers(value)]) + "]"
    return text(value)


def integer_vector(value: Any) -> str:
    """PostgreSQL's own int2vector and oidvector: an array of whole numbers, or their text."""
    if isinstance(value, list | tuple):
        return " ".join([identifier(each) for each in _numbers(value)])
    return text(value)


def _numbers(values: list[Any] | tuple[Any, ...]) -> list[Any] | tuple[Any, ...]:
    for position, each in enumerate(values, 1):
        if isinstance(each, bool) or not isinstance(each, int | float):
            raise Unfit("null was given" if each is None else given(each).reason).at(f"[{position}]", "", "")
    return values


def refused_by_server(context: str | None, message: str | None) -> tuple[int, Unfit] | None:
    """Which parameter PostgreSQL itself refused at Bind, and why in its own words less the value."""
    found = _CONTEXT.search(context or "")
    if found is None:
        return None
    english, number = found.groups()
    # In another language nobody knows by which marks the value is quoted.
    reason = _QUOTED.sub('"…"', message) if english and message else "PostgreSQL refuses it"
    return int(number), Unfit(reason)

"""Tool arguments: one model says what a tool takes, to the client as a JSON schema and to us as a check.

The check is ours rather than the framework's, so that every front door gives the same error: which argument, what is
wrong with it, what is accepted.
"""

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from coldquery.errors import Code, Refusal

_LONGEST_ECHO = 60
_MOST_PROBLEMS = 5


class Arguments(BaseModel):
    """Base of every tool's arguments: strict, so that `"7"` is not 7 and a misspelt name is told."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _as_postgresql_writes_it(value: object) -> object:
    return value.lower().replace("_", " ") if isinstance(value, str) else value


# However it is written: REPEATABLE READ, repeatable_read.
Isolation = Annotated[
    Literal["read uncommitted", "read committed", "repeatable read", "serializable"],
    BeforeValidator(_as_postgresql_writes_it),
]


class Takes:
    """Which arguments one action of a tool takes, beside `action`.

    Attributes:
        required: must be given.
        optional: may be.
        names: of both.
    """

    def __init__(self, required: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> None:
        self.required = required
        self.optional = optional
        self.names = frozenset((*required, *optional))


def parse[A: Arguments](model: type[A], actions: Mapping[str, Takes], given: dict[str, Any]) -> A:
    """The arguments as a model, held to what their action takes.

    Raises:
        Refusal: `invalid_argument`, naming the arguments that are wrong, missing or out of place; no value is repeated.
    """
    action = given.get("action")
    takes = actions.get(action) if isinstance(action, str) else None
    try:
        arguments = model.model_validate(given)
    except ValidationError as error:
        problems = [
            _problem(model, each["loc"], each["type"], each["msg"], each.get("ctx"))
            for each in error.errors(include_input=False, include_url=False)
        ]
        raise _refusal(model, action, takes, problems) from None
    assert takes is not None  # noqa: S101 - the model knows the same actions
    named = {name for name in arguments.model_fields_set if getattr(arguments, name) is not None} - {"action"}
    if named.issuperset(takes.required) and named <= takes.names:
        return arguments
    problems = [f"`{name}` is missing" for name in takes.required if name not in named]
    problems += [f"`{name}` has no place in action={action}" for name in sorted(named - takes.names)]
    raise _refusal(model, action, takes, problems)


def _refusal(model: type[Arguments], action: object, takes: Takes | None, problems: list[str]) -> Refusal:
    more = f"; and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
    if takes is None:
        step = f"The arguments are: {', '.join(model.model_fields)}."
    else:
        names = ", ".join([*takes.required, *(f"{name}?" for name in takes.optional)]) or "nothing else"
        step = f"action={action} takes: {names}."
    return Refusal(Code.INVALID_ARGUMENT, "; ".join(problems[:_MOST_PROBLEMS]) + more + ".", next=step)


def schema(model: type[Arguments]) -> dict[str, Any]:
    """The model's JSON schema in as few tokens as say the same: no titles, no references, no null for left out."""
    full = model.model_json_schema()
    return _object(full, full.get("$defs", {}))


def _object(full: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _compact(each, definitions) for name, each in full["properties"].items()},
        "required": full.get("required", []),
        "additionalProperties": False,
    }


def _compact(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    field = {key: value for key, value in field.items() if key != "title"}
    if field.get("default", ...) is None:
        del field["default"]
    options = [each for each in field.pop("anyOf", []) if each.get("type") != "null"]
    field = {**options[0], **field} if options else field
    if reference := field.pop("$ref", None):
        return _object(definitions[reference.rpartition("/")[2]], definitions)
    if "items" in field:
        field["items"] = _compact(field["items"], definitions)
    return field


def _problem(
    model: type[Arguments],
    location: tuple[int | str, ...],
    kind: str,
    text: str,
    context: dict[str, Any] | None,
) -> str:
    name = ".".join(map(str, location))[:_LONGEST_ECHO]
    match kind:
        case "missing":
            return f"`{name}` is missing"
        case "extra_forbidden":
            near = difflib.get_close_matches(name, model.model_fields, n=1) if len(location) == 1 else []
            return f"`{name}` is not an argument" + (f" (did you mean `{near[0]}`?)" if near else "")
        case "model_type":
            return f"`{name}` must be an object"
        case "literal_error":
            return f"`{name}` must be {(context or {})['expected']}"
        case _:
            return f"`{name}`: {text[:1].lower()}{text[1:]}"

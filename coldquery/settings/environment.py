"""The environment as a source: a variable is given as itself, or as the file that NAME_FILE names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

FILE_SUFFIX = "_FILE"


class Given(NamedTuple):
    """A value and who gave it: a variable, a flag or a file."""

    value: Any
    source: str


class Environment:
    """Variables by name; an empty one counts as not set. What is wrong with one that is read is added to `problems`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.names = sorted(environ)
        self.values = {name: value for name, value in environ.items() if value}
        self.problems: list[str] = []

    def is_set(self, name: str) -> bool:
        """Whether the variable is there in either form."""
        return name in self.values or name + FILE_SUFFIX in self.values

    def read(self, name: str) -> Given | None:
        """The variable's value, or the content of its file up to one newline at the end; None if neither is right."""
        file = name + FILE_SUFFIX
        if name in self.values and file in self.values:
            self.problems.append(f"{name} and {file} are both set; unset one of them")
            return None
        if name in self.values:
            return self._text(self.values[name], name)
        if file in self.values:
            return self._content(file)
        return None

    def _content(self, name: str) -> Given | None:
        try:
            content = Path(self.values[name]).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "not a path"
            self.problems.append(f"{name}: the file that it names can't be read ({reason})")
            return None
        text = content.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
        if not text:
            self.problems.append(f"{name}: the file that it names is empty")
            return None
        return self._text(text, name)

    def _text(self, value: str, name: str) -> Given | None:
        try:
            value.encode()
        except UnicodeEncodeError:  # Python keeps a byte that is not UTF-8 as a lone surrogate
            self.problems.append(f"{name}: is not UTF-8 text")
            return None
        return Given(value, name)

"""Questions to PostgreSQL's catalog: one .sql file each, with a comment that says what it answers."""

from functools import cache
from importlib.resources import files


@cache
def question(name: str) -> str:
    """The SQL of a question, by its file's name without the ending."""
    return files(__package__).joinpath(f"{name}.sql").read_text("utf-8")

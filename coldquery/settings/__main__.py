"""Print docs/settings.md: `python -m coldquery.settings > docs/settings.md`."""

from coldquery.settings import reference

print(reference(), end="")  # noqa: T201 - the page is the output

"""The pages that are generated from the code are current, and the others name what exists."""

import re
from pathlib import Path

import pytest

from coldquery import errors, settings

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page", "module"), [("errors.md", errors), ("settings.md", settings)])
def test_a_generated_page_is_current(page: str, module: object) -> None:
    expected = module.reference()  # type: ignore[attr-defined]
    name = module.__name__  # type: ignore[attr-defined]
    assert (ROOT / "docs" / page).read_text() == expected, f"run: ./dev run python -m {name} > docs/{page}"


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), target

"""docs/settings.md is what the code says, and what it shows works."""

import re
import subprocess
import sys
from pathlib import Path

from coldquery import settings

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_command_that_makes_the_page_prints_the_committed_page() -> None:
    command = [sys.executable, "-m", "coldquery.settings"]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert PAGE.read_text() == printed, "run: ./dev run python -m coldquery.settings > docs/settings.md"


def test_the_sample_file_loads_without_a_warning(tmp_path: Path) -> None:
    sample = re.search(r"```toml\n(.*?)```", settings.reference(), re.DOTALL)
    assert sample
    file = tmp_path / "coldquery.toml"
    file.write_text(sample[1])
    loaded = settings.load({"config": str(file)}, {}, home=tmp_path)
    assert loaded.settings.read_pool_size == 5
    assert loaded.warnings == ()


def test_every_setting_has_a_line_with_its_meaning() -> None:
    rows = [line for line in settings.reference().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == [f"`{name}`" for name in settings.Settings.model_fields]
    assert all(len(row) == 6 and row[5].endswith(".") for row in cells)

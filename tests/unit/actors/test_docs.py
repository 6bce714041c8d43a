"""The example in docs/actors.md is true."""

import re
import subprocess
import sys
from pathlib import Path

DOC = Path(__file__).parents[3] / "docs" / "actors.md"


def test_the_example_prints_what_its_comments_say() -> None:
    found = re.search(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found, "docs/actors.md has an example"
    example = found.group(1)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.stderr == ""
    promised = [
        comment.removesuffix(", and the account ends") for comment in re.findall(r"print\(.*\)  # (.*)", example)
    ]
    assert run.stdout.splitlines() == promised
    assert len(promised) == 4


def test_every_invariant_that_a_test_or_the_code_names_is_in_the_table() -> None:
    root = DOC.parents[1]
    listed = set(re.findall(r"^\| (\d+) \|", DOC.read_text(encoding="utf-8"), re.MULTILINE))
    code = "".join(path.read_text(encoding="utf-8") for path in (root / "actors").glob("*.py"))
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert set(re.findall(r"invariant (\d+)", code)) <= listed
    held = set(re.findall(r"[Ii]nvariant[ _](\d+)", tests))
    assert held == listed

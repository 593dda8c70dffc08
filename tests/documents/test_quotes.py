"""What documents quote was printed: each line stands in a file of results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRINTED = {
    " ".join(line.split())
    for path in (ROOT / "benchmarks" / "results").rglob("*.txt")
    for line in path.read_text("utf-8").splitlines()
}


@pytest.mark.parametrize("name", ["README.md", "docs/story.md"])
def test_quoted_lines_stand_in_the_results(name: str) -> None:
    """By their words: a document may have another width."""
    blocks = re.findall(r"^```text\n(.*?)^```", (ROOT / name).read_text("utf-8"), re.MULTILINE | re.DOTALL)
    quoted = [" ".join(line.split()) for block in blocks for line in block.splitlines() if line.strip()]
    assert quoted and [line for line in quoted if line not in PRINTED] == []


TABLES = {
    line.strip()
    for path in (ROOT / "benchmarks" / "results").rglob("*.md")
    for line in path.read_text("utf-8").splitlines()
    if line.startswith("|")
}


def test_quoted_tables_stand_in_the_results() -> None:
    text = (ROOT / "docs" / "roofline-tutorial.md").read_text("utf-8")
    quoted = [line.strip() for line in text.splitlines() if line.startswith("|")]
    assert quoted and [line for line in quoted if line not in TABLES] == []

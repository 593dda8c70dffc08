"""Documents keep what they promise: their links lead somewhere, nothing is left to be filled in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path for path in ROOT.rglob("*.md") if not {"node_modules", ".venv"} & set(path.relative_to(ROOT).parts)
)
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


def test_there_are_documents() -> None:
    assert ROOT / "README.md" in DOCUMENTS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text("utf-8")):
        assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_left_to_be_filled_in(document: Path) -> None:
    assert not re.search(r"@[A-Z]{3,}@|TODO|FIXME", document.read_text("utf-8"))


def test_paths_of_the_architecture_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"`((?:src|docs|tests|benchmarks|web)(?:/[\w.-]+)*)`", text)
    assert named
    for path in named:
        assert (ROOT / path).exists(), path

"""What the page of an experiment carries."""

from __future__ import annotations

from pathlib import Path

from llmflame.store.profile import read_profile
from llmflame.views.page import page_data, render_page
from tests.handmade import handmade
from tests.handmade_lab import handmade_lab


def test_a_profiles_page_has_no_such_section(tmp_path: Path) -> None:
    sections = page_data(read_profile(handmade(tmp_path / "a.llmflame"))).sections
    assert sections is not None and sections["lab"] is None


def test_an_experiments_page_is_the_best_rows_beside_the_stock_models(tmp_path: Path) -> None:
    data = page_data(read_profile(handmade_lab(tmp_path / "a.llmflame")))
    assert data.sections is not None and data.sections["lab"] is not None
    assert data.compared is not None
    run_b = data.compared["b"]
    assert isinstance(run_b, dict) and run_b["file"].endswith("a.llmflame:static-cache+compile@1")


def test_without_profiles_the_rows_alone_are_the_page(tmp_path: Path) -> None:
    data = page_data(read_profile(handmade_lab(tmp_path / "a.llmflame", profiles=False)))
    assert data.sections is not None and data.sections["lab"] is not None and data.compared is None
    assert "lab" in render_page(data)

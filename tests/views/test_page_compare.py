"""The data of a page that compares two runs."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.compare.comparison import Comparison, compare
from llmflame.store.profile import read_profile
from llmflame.views.page import PageData, page_compare, render_page
from tests.handmade_pair import pair
from tests.views.test_page_samples import llama, summary


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    return compare(*map(read_profile, pair(tmp_path)))


def data_of(page: str) -> Any:
    packed = re.search(r'id="data">([^<]*)<', page)
    assert packed is not None
    return json.loads(gzip.decompress(base64.b64decode(packed[1])))


def test_the_tree_has_both_runs_numbers(comparison: Comparison) -> None:
    tree = page_compare(comparison).tree
    joined = comparison.joined
    before, after = joined.columns("wall_ns")
    assert tree.selfs["wall_ns"] == after and tree.selfs["wall_ns@before"] == before
    assert tree.selfs["wall_ns@larger"] == [max(both) for both in zip(before, after, strict=True)]
    names = [metric.name for metric in tree.metrics]
    assert "calls@before" in names and len(names) == len(set(names))
    assert "wall_ns@before" not in joined.tree.selfs, "the union itself stays as it was"


def test_the_page_carries_the_comparison(comparison: Comparison) -> None:
    both = page_compare(comparison)
    found = data_of(render_page(PageData("B", summary(both.tree), both.tree, None, compared=both.facts)))
    assert found["compare"]["view"] == "diff"
    assert found["compare"]["figures"] and found["compare"]["frames"]
    columns = {metric["name"]: metric for metric in found["metrics"]}
    for metric, side in (("wall_ns@before", 0), ("wall_ns", 1)):
        whole = sum(comparison.joined.columns("wall_ns")[side])
        assert sum(columns[metric]["value"]) == pytest.approx(whole, abs=1)


def test_the_page_of_one_run_has_none() -> None:
    tree = llama()
    assert data_of(render_page(PageData("A", summary(tree), tree)))["compare"] is None

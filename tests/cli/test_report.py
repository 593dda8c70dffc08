"""`llmflame report`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Invoke
from tests.handmade import handmade
from tests.handmade_gpu import handmade_gpu
from tests.views.test_page import decoded, embedded


def test_writes_a_page_beside_the_profile(invoke: Invoke, profile_file: Path) -> None:
    ended = invoke("report", profile_file)
    page = profile_file.with_suffix(".html")
    assert ended.code == 0 and ended.out == f"{page}\n" and ended.err == ""
    text = page.read_text("utf-8")
    assert text.startswith("<!doctype html>") or text.lower().startswith("<!doctype html>")
    assert "<title>Tiny-2L" in text


def test_never_replaces_without_force(invoke: Invoke, profile_file: Path, tmp_path: Path) -> None:
    page = tmp_path / "x.html"
    page.write_text("mine")
    ended = invoke("report", profile_file, "-o", page)
    assert ended.code == 2 and "--force" in ended.err and page.read_text() == "mine"
    assert invoke("report", profile_file, "-o", page, "--force").code == 0
    assert page.read_text("utf-8") != "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.llmflame", "x.html"]


def test_never_replaces_the_profile(invoke: Invoke, tmp_path: Path) -> None:
    profile = handmade(tmp_path / "odd.html")
    before = profile.read_bytes()
    for arguments in (
        ["report", profile],
        ["report", profile, "--force"],
        ["report", profile, "-o", profile, "--force"],
    ):
        ended = invoke(*arguments)
        assert ended.code == 2 and ended.err.count("\n") == 1
    assert profile.read_bytes() == before


@pytest.mark.parametrize("until", ["nothing", "load", "clean"])
def test_unfinished_runs_have_a_page(invoke: Invoke, tmp_path: Path, until: str) -> None:
    profile = handmade(tmp_path / "a.llmflame", until=until, status="partial", reason="</script>")
    assert invoke("report", profile).code == 0
    assert "</script><" not in (tmp_path / "a.html").read_text("utf-8").partition('id="data"')[0]


@pytest.mark.parametrize("arguments", [[], ["--all-frames"]])
def test_a_page_draws_the_floor_of_each_operator(
    invoke: Invoke, tmp_path: Path, arguments: list[str]
) -> None:
    assert invoke("report", handmade_gpu(tmp_path / "a.llmflame"), *arguments).code == 0
    tree = decoded(embedded((tmp_path / "a.html").read_text("utf-8")))
    floors = tree.totals("floor_ns")
    product = next(node for node in range(len(tree)) if tree.frame(node).name == "aten::mm")
    assert 0 < floors[product] < floors[0]
    assert floors[product] <= tree.totals("wall_ns")[product]


def test_without_a_ceiling_there_is_no_floor(invoke: Invoke, profile_file: Path) -> None:
    assert invoke("report", profile_file).code == 0
    tree = decoded(embedded(profile_file.with_suffix(".html").read_text("utf-8")))
    assert "floor_ns" not in tree.selfs

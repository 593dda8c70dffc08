"""What the summary says first is there before its tree is built, and is the same as in the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis import run_tree
from llmflame.analysis.opening import opening
from llmflame.analysis.summary import summarise
from llmflame.cli.printing import print_summary
from llmflame.store.profile import Profile, read_profile
from tests.handmade import handmade


def test_is_part_of_the_summary(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame"))
    document = summarise(profile)
    first = opening(profile)
    assert first == {name: document[name] for name in first}


def test_is_printed_before_the_tree_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame"))
    seen: list[str] = []
    build = run_tree.build_run_tree

    def watched(one: Profile) -> run_tree.RunTree:
        seen.append(capsys.readouterr().out)
        return build(one)

    monkeypatch.setattr(run_tree, "build_run_tree", watched)
    print_summary(profile, as_json=False)
    assert "Tiny-2L" in seen[0] and "TPOT median" in seen[0]
    assert "TPOT median" not in capsys.readouterr().out


def test_a_document_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(read_profile(handmade(tmp_path / "a.llmflame")), as_json=True)
    assert capsys.readouterr().out.startswith('{\n  "schema"')

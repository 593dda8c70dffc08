"""The terminal views of a hand-made run on a GPU, against golden files at 80 columns without colour."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from llmflame.analysis.ceiling import ceilings
from llmflame.analysis.findings import find
from llmflame.analysis.idle_table import idle_table
from llmflame.analysis.kernels_table import kernels_table
from llmflame.analysis.ops_table import ops_table
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.roofline import rooflines, with_floors
from llmflame.analysis.roofline_table import roofline_table
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import finding_document, summarise
from llmflame.analysis.tree_table import TREES, TreeLimits, tree_table
from llmflame.store.profile import Profile, read_profile
from llmflame.views.findings import findings_view, short_findings
from llmflame.views.grid import Grid, GridColumn, Paragraph
from llmflame.views.roofline import roofline_lines
from llmflame.views.summary import summary_view
from llmflame.views.table import table_view
from llmflame.views.tree import tree_view
from tests.golden_files import check_golden
from tests.handmade_gpu import handmade_gpu
from tests.views.test_terminal import HOSTILE, drawn

NARROW = 80


def views_of(profile: Profile) -> dict[str, RenderableType]:
    run = build_run_tree(profile)
    tree = with_floors(without_plumbing(run.tree), ceilings(profile).best)
    trees = {
        f"tree-{name}": tree_view(tree_table(tree, TreeLimits(min_share=0.04, alike=1), ("decode",), metric))
        for name, metric in TREES.items()
    }
    return {
        "summary": summary_view(summarise(profile, run), without_plumbing(run.tree)),
        "findings": findings_view([finding_document(one) for one in find(profile, run)]),
        "roofline": table_view(roofline_table(rooflines(profile, run.tree), ceilings(profile))),
        "idle": table_view(idle_table(without_plumbing(run.tree)).limited(12)),
        "kernels": table_view(kernels_table(run.tree)),
        "ops": table_view(ops_table(run.tree)),
        **trees,
    }


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_gpu(tmp_path_factory.mktemp("golden") / "a.llmflame"))


@pytest.mark.parametrize(
    "view", ["summary", "findings", "roofline", "idle", "kernels", *(f"tree-{name}" for name in TREES)]
)
def test_view_is_as_agreed(profile: Profile, view: str) -> None:
    check_golden(f"gpu-{view}", drawn(views_of(profile)[view], NARROW))


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 250])
def test_no_line_is_wider_than_the_terminal(profile: Profile, width: int) -> None:
    for name, view in views_of(profile).items():
        for line in drawn(view, width).splitlines():
            assert cell_len(line) <= width, (name, line)
            assert line == line.rstrip(), (name, line)


def test_a_wide_terminal_shows_all_columns_of_the_kernels(profile: Profile) -> None:
    first = drawn(views_of(profile)["kernels"], 200).splitlines()[0]
    assert first.split("  ")[0].strip() == "Kernel or copy"
    for label in ("Kind", "Launched by", "Device time", "Share", "Calls", "Average", "Small grid", "Copied"):
        assert label in first


def test_a_wide_terminal_shows_the_floors_in_the_tree(profile: Profile) -> None:
    assert "Floor" in drawn(views_of(profile)["tree-wall"], 140).splitlines()[0]
    assert "Floor" not in drawn(views_of(profile)["tree-wall"], 80).splitlines()[0]


@pytest.mark.parametrize("name", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_hostile_names_are_shown_not_obeyed(tmp_path: Path, name: str) -> None:
    """Functions, kernels and the model are called by whoever wrote them."""
    path = handmade_gpu(tmp_path / "a.llmflame", name=name, kernel=name, model=name)
    for width in (60, 100):
        for view in views_of(read_profile(path)).values():
            text = drawn(view, width)
            text.encode("utf-8")
            assert (
                re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
                is None
            )
            assert all(cell_len(line) <= width for line in text.splitlines())
            assert len(text) < 60_000


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    path = handmade_gpu(tmp_path / "a.llmflame", name="[bold]x[/bold]", kernel="[red]k[/red]")
    views = views_of(read_profile(path))
    assert "[bold]x[/bold]" in drawn(Group(views["idle"], views["findings"]), 200)
    assert "[red]k[/red]" in drawn(views["kernels"], 200)


def test_a_check_that_fails_is_told(tmp_path: Path, profile: Profile) -> None:
    assert "Check failed" not in drawn(views_of(profile)["summary"], 200)
    path = handmade_gpu(tmp_path / "a.llmflame", imbalance=4096.0)
    assert (
        "Check failed, allocator: allocated less freed differs by 4 KiB from the allocator's counter."
        in drawn(views_of(read_profile(path))["summary"], 200)
    )


def _finding(**fields: Any) -> dict[str, Any]:
    known = {
        "title": "Title", "scope": "request", "gain_s": 0.5, "gain_share": 0.25, "change": "Do this",
        "evidence": ["one two three"], "variant": None, "frames": [],
    }  # fmt: skip
    return known | fields


def test_findings_hang_behind_their_number() -> None:
    finding = _finding(title="A title", change="Do this and that", variant="v", frames=["decode › x › y"])
    assert drawn(findings_view([finding]), 24) == (
        " 1. A title  at most 500\n"
        "    ms, 25.0 % of a\n"
        "    request\n"
        "    · one two three\n"
        "    → Do this and that\n"
        "    heaviest:\n"
        "      decode › x › y\n"
        "    variant: v\n"
    )


def test_no_finding_is_one_sentence() -> None:
    text = drawn(findings_view([]))
    assert text == " Nothing found that could gain 5 % of a request or of the cold start.\n"


def test_the_summary_names_three_findings_and_counts_the_rest() -> None:
    text = drawn(Group(*short_findings([_finding(title=f"T{n}") for n in range(5)])))
    assert text.count("Do this") == 3 and "T3" not in text
    assert text.endswith(" 2 more: --view findings\n")


def _limits(**fields: Any) -> dict[str, Any]:
    parts = dict.fromkeys(("floor", "launch gaps", "synchronisation", "copies", "element-wise"), 0.0)
    parts |= {"low occupancy": 0.0, "other": 0.0}
    row = {
        "phase": "decode", "steps": 10, "wall_s": 1.0, "floor_s": 0.5, "known_share": 1.0, "mbu": 0.5,
        "mbu_published": 0.4, "mfu": None, "mfu_published": 0.1,
        "parts_s": {**parts, "floor": 0.5, "launch gaps": 0.3, "other": 0.195, "copies": 0.005},
    }  # fmt: skip
    return {"device": None, "roofline": [row | fields]}


def test_the_roofline_of_a_cpu_speaks_of_python_and_of_a_gpu_of_gaps() -> None:
    on_cpu = drawn(Group(*roofline_lines(_limits())))
    assert " ".join(on_cpu.splitlines()[1].split()) == "decode ███ 100 ms 50.0 ms 50.0 % 10.0 %"
    assert (
        "decode above its floor: Python and dispatch 30.0 ms, operators above their floor 19.5 ms\n" in on_cpu
    )
    device = {"idle_share": 0.3, "idle_by_cause_s": {"launch-bound Python": 0.3, "copy": 0.0}}
    on_gpu = drawn(Group(*roofline_lines({**_limits(), "device": device})))
    assert "launch gaps 30.0 ms, kernels above their floor 19.5 ms\n" in on_gpu
    assert on_gpu.endswith("idle for 30.0 % of prefill and decode: launch-bound Python 300 ms.\n")


def test_without_a_ceiling_the_summary_says_how_to_get_one() -> None:
    for device in (None, {"idle_share": 0.0, "idle_by_cause_s": {}}):
        document = {**_limits(floor_s=None, mbu=None, mbu_published=None), "device": device}
        text = drawn(Group(*roofline_lines(document)), 120)
        assert "No ceiling of this machine is known: llmflame machine --measure, before recording." in text
        assert "floor:" not in text
    assert roofline_lines(_limits(known_share=None)) == []
    assert roofline_lines({"device": None, "roofline": []}) == []


def test_flexible_columns_share_what_is_left() -> None:
    grid = Grid(
        [GridColumn("a", "left", flexible=True), GridColumn("b", "left", flexible=True), GridColumn("n")]
    )
    grid.add("x" * 30, "short", "1")
    grid.add("x" * 30, "y" * 30, "2")
    assert [cell_len(line) for line in drawn(grid, 40).splitlines()] == [40, 40, 40]
    short = Grid(grid.columns)
    short.add("x" * 30, "short", "1")
    assert drawn(short, 44).splitlines()[1] == f" {'x' * 30}  short  1"


def test_a_paragraph_hangs() -> None:
    assert drawn(Paragraph(Text("1. one two"), hang=3), 9) == " 1. one\n    two\n"
    assert drawn(Paragraph(Text("1. "), indent=2, hang=3), 9) == "   1.\n"

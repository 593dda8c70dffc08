"""The terminal views of a hand-made profile, against golden files at width 100 without colour."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from llmflame.analysis.functions_table import functions_table
from llmflame.analysis.modules_table import modules_table
from llmflame.analysis.ops_table import ops_table
from llmflame.analysis.phases_table import phases_table
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.steps_table import compact, steps_table
from llmflame.analysis.summary import summarise
from llmflame.analysis.tables import Column, Table
from llmflame.analysis.tree import Tree
from llmflame.analysis.tree_table import TreeLimits, tree_table
from llmflame.store.profile import Profile, read_profile
from llmflame.views.cells import bar
from llmflame.views.grid import Grid, GridColumn, Paragraph, fitted
from llmflame.views.heading import heading
from llmflame.views.summary import summary_view
from llmflame.views.table import table_grid, table_view
from llmflame.views.tree import tree_view
from tests.golden_files import check_golden
from tests.handmade import handmade

HOSTILE = [
    "[bold red]markup[/] [link=file:///etc/passwd]x[/link]",
    "\x1b[31mred\x1b]0;title\x07",
    "line\nbreak\r\ttab",
    "\u202eesrever\u2066",
    "lone \udc80 surrogate",
    "数" * 500,
    "x" * 1_000_000,
    "",
]


def drawn(body: RenderableType, width: int = 100) -> str:
    stream = StringIO()
    Console(file=stream, width=width, color_system=None, highlight=False, markup=False).print(body)
    return stream.getvalue()


def plain_tree(profile: Profile) -> Tree:
    return without_plumbing(build_run_tree(profile).tree)


def views_of(profile: Profile) -> dict[str, RenderableType]:
    run = build_run_tree(profile)
    tree = plain_tree(profile)
    recorded = [tree.frame(node).name for node in range(len(tree)) if tree.frame(node).kind == "phase"]
    last = recorded[-2:-1]
    return {
        "summary": summary_view(summarise(profile, run), tree),
        "phases": table_view(phases_table(profile, run.tree)),
        "tree": tree_view(tree_table(tree, TreeLimits(min_share=0.01))),
        "tree-decode": tree_view(tree_table(tree, TreeLimits(alike=1), tuple(last))),
        "ops": table_view(ops_table(run.tree)),
        "functions": table_view(functions_table(tree)),
        "steps": table_view(steps_table(profile)),
    }


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade(tmp_path_factory.mktemp("golden") / "a.llmflame"))


@pytest.mark.parametrize("view", ["summary", "phases", "tree", "tree-decode", "ops", "functions", "steps"])
def test_view_is_as_agreed(profile: Profile, view: str) -> None:
    check_golden(view, drawn(views_of(profile)[view]))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("summary-partial", {"until": "load", "status": "partial", "reason": "interrupted"}),
        ("summary-failed", {"until": "clean", "status": "failed", "reason": "RuntimeError: boom"}),
        ("summary-nothing", {"until": "nothing", "status": "failed", "reason": "killed by SIGKILL"}),
        ("summary-slow-windows", {"slowdown": 1.8}),
    ],
)
def test_summary_of_other_runs(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", **options))
    check_golden(name, drawn(views_of(profile)["summary"]))


@pytest.mark.parametrize("until", ["nothing", "load", "clean"])
def test_every_view_of_an_unfinished_run_can_be_drawn(tmp_path: Path, until: str) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", until=until, status="partial", reason="stopped"))
    for view in views_of(profile).values():
        assert drawn(view).strip()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140, 250])
def test_no_line_is_wider_than_the_terminal(profile: Profile, width: int) -> None:
    for name, view in views_of(profile).items():
        for line in drawn(view, width).splitlines():
            assert cell_len(line) <= width, (name, line)
            assert line == line.rstrip(), (name, line)


@pytest.mark.parametrize("view", ["phases", "ops", "functions", "steps", "modules"])
@pytest.mark.parametrize("width", range(24, 120, 5))
def test_no_figure_is_cut_in_a_narrow_terminal(profile: Profile, view: str, width: int) -> None:
    """A column is shown whole or not at all: `1.46` for `1.46 s` would be read as something else."""
    run = build_run_tree(profile)
    tables = {
        "phases": phases_table(profile, run.tree),
        "ops": ops_table(run.tree),
        "functions": functions_table(run.tree),
        "steps": steps_table(profile),
        "modules": modules_table(run.tree),
    }
    grid, _ = table_grid(tables[view])
    layout = grid.layout(width)
    fixed = [i for i in layout.places if not grid.columns[i].flexible]
    for i in fixed:
        assert all(row[i].cell_len <= layout.widths[i] for row in grid.rows)
    assert layout.indent + sum(layout.widths.values()) + layout.gap * (len(layout.places) - 1) <= width
    assert len(layout.places) >= 2


def test_numbers_that_belong_below_others_move_behind_them(profile: Profile) -> None:
    body = views_of(profile)["summary"]
    wide, narrow = drawn(body, 100).splitlines(), drawn(body, 50).splitlines()
    assert any(re.match(r" +p10 .* n 8$", line) for line in wide)
    assert " TPOT p10 11.0 ms – p90 16.0 ms, n 8" in narrow
    (numbers,) = (line for line in narrow if "tok/s" in line)
    assert re.search(r"tok/s +[\d.]+ ms", numbers)


def test_a_wide_terminal_shows_all_columns(profile: Profile) -> None:
    first = drawn(views_of(profile)["ops"], 200).splitlines()[0]
    for label in (
        "Self CPU %",
        "Self CPU",
        "CPU total %",
        "CPU total",
        "CPU time avg",
        "# of Calls",
        "CPU Mem",
    ):
        assert label in first


@pytest.mark.parametrize("name", HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_hostile_names_are_shown_not_obeyed(tmp_path: Path, name: str) -> None:
    path = handmade(tmp_path / "a.llmflame", name=name, model=name, status="failed", reason=name or None)
    profile = read_profile(path)
    views = views_of(profile)
    views["heading"] = heading(profile.subject, profile.run.status, profile.run.reason)[0]
    for width in (60, 100):
        for view in views.values():
            text = drawn(view, width)
            text.encode("utf-8")
            assert (
                re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
                is None
            )
            assert all(cell_len(line) <= width for line in text.splitlines())
            assert len(text) < 60_000


def test_markup_in_names_is_text(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", name="[bold]x[/bold]", model="[red]m[/red]"))
    text = "".join(drawn(view, 200) for view in views_of(profile).values())
    assert "[bold]x[/bold]" in text and "[red]m[/red]" in text


def test_functions_view_writes_calls_as_cprofile_does() -> None:
    columns = (
        Column("ncalls", "count", "ncalls"),
        Column("primitive_calls", "count", "", shown=False),
        Column("counted_share", "share", "", shown=False),
        Column("function", "text", "f"),
    )
    rows = ((6, 6, 1.0, "plain"), (1200, 3, 1.0, "deep"), (5, 5, 0.5, "mixed"), (None, None, 0.0, "sampled"))
    lines = drawn(table_view(Table("functions", columns, rows))).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["6", "plain"], ["1,200/3", "deep"], ["≥5", "mixed"], ["–", "sampled"]
    ]  # fmt: skip


def test_compact_steps_keep_the_slowest_and_say_so(profile: Profile) -> None:
    table = steps_table(profile)
    rows = tuple(
        (step, *table.rows[0][1:2], 100 if step == 577 else 10, *table.rows[0][3:]) for step in range(1000)
    )
    short = compact(Table("steps", table.columns, rows), 40)
    assert len(short.rows) <= 40
    kept = [row[0] for row in short.rows]
    assert kept == sorted(kept) and {0, 577, 999} <= set(kept)  # type: ignore[type-var]
    assert "of 1,000 steps" in short.notes[-1] and "--limit 1000" in short.notes[-1]
    assert compact(table, 40) is table


def test_bar_grows_by_eighths() -> None:
    assert [bar(share, 2).plain for share in (0, 1e-9, 1 / 16, 0.5, 0.53, 1, 7)] == [
        "", "▏", "▏", "█", "█", "██", "██"
    ]  # fmt: skip


def test_fitted_keeps_the_end_that_matters() -> None:
    assert fitted(Text("abcdef"), 6, "end").plain == "abcdef"
    assert fitted(Text("abcdef"), 4, "start").plain == "abc…"
    assert fitted(Text("abcdef"), 4, "end").plain == "…def"
    assert fitted(Text("数数数"), 4, "end").plain == "…数"
    assert fitted(Text("abcdef"), 1, "end").plain == "…"
    where = Text("forward  transformers/models/llama/modeling_llama.py:353")
    assert fitted(where, 33, "ends").plain == "forward  …a/modeling_llama.py:353"
    assert fitted(where, 12, "ends").plain == "forward  tr…"
    assert fitted(Text("x" * 40), 9, "ends").plain == "xxxxxxxx…"


def test_grid_leaves_out_what_it_may() -> None:
    grid = Grid([GridColumn("aaaa", drop=1), GridColumn("bbbb", drop=2), GridColumn("cc"), GridColumn("")])
    grid.add("1", "2", "3", "")
    assert drawn(grid, 40) == " aaaa  bbbb  cc\n    1     2   3\n"
    assert drawn(grid, 14) == " aaaa  cc\n    1   3\n"
    assert drawn(grid, 5) == " cc\n  3\n"


def test_paragraph_wraps_with_an_edge() -> None:
    assert drawn(Paragraph(Text("one two three")), 9) == " one two\n three\n"


def test_styles_end_where_they_should(profile: Profile) -> None:
    stream = StringIO()
    console = Console(file=stream, width=100, force_terminal=True, color_system="truecolor", highlight=False)
    console.print(views_of(profile)["tree"])
    console.print(views_of(profile)["summary"])
    lines = stream.getvalue().splitlines()
    assert any("\x1b[36mTinyForCausalLM\x1b[0m" in line for line in lines)
    assert any("\x1b[1mdecode\x1b[0m" in line for line in lines)
    assert any("\x1b[1mTiny-2L\x1b[0m  TinyForCausalLM" in line for line in lines)
    assert any("\x1b[2mOwn cost: \x1b[0mclean pass" in line for line in lines)

"""The tables: that nothing is lost or counted twice, and that the known numbers come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.functions_table import functions_table
from llmflame.analysis.machine_table import machine_table
from llmflame.analysis.ops_table import ops_table
from llmflame.analysis.phases_table import phases_table
from llmflame.analysis.plumbing import without_plumbing
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.steps_table import steps_table
from llmflame.analysis.tables import Column, Table
from llmflame.analysis.top_table import top_places
from llmflame.analysis.tree import Tree
from llmflame.analysis.tree_table import TreeLimits, tree_table
from llmflame.errors import UsageError
from llmflame.store import metrics
from llmflame.store.model import Frame
from llmflame.store.profile import Profile, read_profile
from tests.handmade import GAP_MS, MIB, MS, PHASE_MS, RUN_MS, STEPS, handmade


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade(tmp_path_factory.mktemp("tables") / "a.llmflame"))


@pytest.fixture(scope="module")
def tree(profile: Profile) -> Tree:
    return build_run_tree(profile).tree


def column(table: Table, name: str) -> list[object]:
    return [row[table.place(name)] for row in table.rows]


def numbers(table: Table, name: str) -> list[float]:
    return [value for value in column(table, name) if isinstance(value, int | float)]


def made(rows: list[tuple[int, Frame, float, float]]) -> Tree:
    """A tree from rows of parent, frame, wall and calls."""
    tree = Tree(metrics=[metrics.WALL, metrics.CALLS], selfs={"wall_ns": [], "calls": []})
    for number, (parent, frame, wall, calls) in enumerate(rows):
        tree.frames.append(frame)
        tree.node_frames.append(number)
        tree.parents.append(parent)
        tree.origins.append("scaled")
        tree.selfs["wall_ns"].append(wall)
        tree.selfs["calls"].append(calls)
    return tree


def test_phases_add_up_to_the_run(profile: Profile, tree: Tree) -> None:
    table = phases_table(profile, tree)
    tops = [row for row in table.rows if row[1] is None]
    assert sum(row[2] for row in tops) == RUN_MS * MS  # type: ignore[misc]
    assert sum(row[3] for row in tops) == pytest.approx(1.0)  # type: ignore[misc]
    assert [row[0] for row in tops] == [*PHASE_MS, "between phases"]
    assert tops[-1][2] == GAP_MS * MS
    assert [row[1] for row in table.rows if row[0] == "import"] == [None, "torch", "transformers"]


def test_waiting_adds_up_to_the_wall_time(profile: Profile, tree: Tree) -> None:
    for row in phases_table(profile, tree).rows[:-1]:
        assert sum(part or 0 for part in row[4:8]) == row[2]  # type: ignore[misc]


def test_tottimes_add_up_to_the_run(tree: Tree) -> None:
    for shape in (tree, without_plumbing(tree)):
        assert sum(numbers(functions_table(shape), "tottime_ns")) == pytest.approx(RUN_MS * MS, abs=20)


def test_tottimes_of_a_phase_add_up_to_the_phase(tree: Tree) -> None:
    for phase, wall_ms in PHASE_MS.items():
        table = functions_table(tree, (phase,))
        assert sum(numbers(table, "tottime_ns")) == pytest.approx(wall_ms * MS, abs=20)


def test_functions_are_named_as_by_cprofile(tree: Tree) -> None:
    names = column(functions_table(without_plumbing(tree)), "function")
    assert "transformers/generation/utils.py:312(_sample)" in names
    assert "{built-in linear}" in names and "TinyLayer.__call__" in names and "{unattributed}" in names
    assert not any("aten::" in str(name) for name in names)


def test_an_operators_time_is_its_callers_own(tree: Tree) -> None:
    table = functions_table(tree)
    linear = next(row for row in table.rows if row[-1] == "{built-in linear}")
    assert linear[table.place("tottime_ns")] == linear[table.place("cumtime_ns")]
    assert linear[0] == 2 * (1 + STEPS)


def test_recursion_is_counted_once_in_cumtime() -> None:
    f, g = Frame("python", "f", "a.py", 1), Frame("python", "g", "a.py", 2)
    run, phase = Frame("run", "run"), Frame("phase", "decode")
    tree = made(
        [
            (-1, run, 0, 0),
            (0, phase, 0, 0),
            (1, f, 10, 1),
            (2, g, 20, 1),
            (3, f, 30, 4),
            (2, f, 40, 2),
            (1, g, 5, 1),
        ]
    )
    table = functions_table(tree)
    rows = {row[-1]: dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows}
    assert rows["a.py:1(f)"]["cumtime_ns"] == 100
    assert rows["a.py:1(f)"]["tottime_ns"] == 80
    assert (rows["a.py:1(f)"]["ncalls"], rows["a.py:1(f)"]["primitive_calls"]) == (7, 1)
    assert rows["a.py:2(g)"]["cumtime_ns"] == 55


def test_sampled_functions_have_no_call_counts(tree: Tree) -> None:
    table = functions_table(tree, ("import",))
    assert set(column(table, "ncalls")) == {None}
    assert set(column(table, "tottime_percall_ns")) == {None}


def test_time_per_call_is_of_the_counted_part() -> None:
    f = Frame("python", "f", "a.py", 1)
    tree = made(
        [
            (-1, Frame("run", "run"), 0, 0),
            (0, Frame("phase", "warmup"), 0, 0),
            (1, f, 1000, 0),
            (0, Frame("phase", "decode"), 0, 0),
            (3, f, 100, 10),
        ]
    )
    table = functions_table(tree)
    (row,) = table.rows
    assert row[table.place("tottime_percall_ns")] == 10
    assert row[table.place("counted_share")] == pytest.approx(100 / 1100)


def test_operators_count_self_and_total(tree: Tree) -> None:
    table = ops_table(tree)
    rows = {row[0]: dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows}
    linear, product = rows["aten::linear"], rows["aten::mm"]
    assert linear["calls"] == product["calls"] == 2 * (1 + STEPS)
    both = numbers(table, "self_cpu_ns")
    assert linear["cpu_total_ns"] == pytest.approx(sum(both), abs=2)
    assert product["cpu_mem_bytes"] == 2 * (1 + STEPS) * MIB
    assert linear["self_cpu_mem_bytes"] == 0
    assert product["cpu_avg_ns"] == pytest.approx(product["cpu_total_ns"] / 10, rel=1e-6)  # type: ignore[operator]
    assert "self_device_ns" not in product


def test_operators_of_another_phase(tree: Tree) -> None:
    table = ops_table(tree, ("load",))
    assert [row[0] for row in table.rows] == ["aten::empty"]
    assert table.rows[0][table.place("cpu_mem_bytes")] == 40 * MIB
    assert table.rows[0][table.place("self_cpu_ns")] is None, "the sampler doesn't time operators"
    assert "counted, but not timed" in table.notes[0]


def test_device_columns_are_there_where_there_is_device_time() -> None:
    launch, kernel = Frame("runtime", "cudaLaunchKernel"), Frame("kernel", "gemm")
    tree = made(
        [
            (-1, Frame("run", "run"), 0, 0),
            (0, Frame("phase", "decode"), 5, 0),
            (1, Frame("op", "aten::mm"), 10, 2),
            (2, launch, 3, 2),
            (2, kernel, 0, 2),
        ]
    )
    tree.metrics.append(metrics.DEVICE)
    tree.selfs["device_ns"] = [0, 0, 0, 0, 80]
    table = ops_table(tree)
    rows = {row[0]: dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows}
    assert rows["aten::mm"]["device_total_ns"] == 80 and rows["aten::mm"]["self_device_ns"] == 0
    assert rows["gemm"]["self_device_share"] == 1.0
    assert rows["cudaLaunchKernel"]["self_cpu_ns"] == 3
    assert rows["aten::mm"]["self_cpu_share"] == pytest.approx(10 / 18)


def test_a_recursive_operator_is_counted_once() -> None:
    op = Frame("op", "aten::to")
    tree = made(
        [(-1, Frame("run", "run"), 0, 0), (0, Frame("phase", "decode"), 0, 0), (1, op, 1, 1), (2, op, 2, 1)]
    )
    table = ops_table(tree)
    (row,) = table.rows
    assert row[table.place("cpu_total_ns")] == 3 and row[table.place("calls")] == 2


def test_steps_are_medians_over_repetitions(profile: Profile) -> None:
    table = steps_table(profile)
    assert column(table, "step") == [1, 2, 3, 4]
    assert column(table, "kv_tokens") == [7, 8, 9, 10]
    assert column(table, "wall_ns") == [12 * MS, 13 * MS, 14 * MS, 15 * MS]
    assert column(table, "min_ns") == [11 * MS, 12 * MS, 13 * MS, 14 * MS]
    assert column(table, "max_ns") == [13 * MS, 14 * MS, 15 * MS, 16 * MS]
    assert column(table, "on_cpu_share") == pytest.approx([0.75] * STEPS)
    assert column(table, "rss_delta_bytes") == [None, MIB, MIB, MIB]
    assert column(table, "anatomy") == ["traced", "anchored", "anchored", None]


@pytest.mark.parametrize(
    "limits",
    [TreeLimits(), TreeLimits(depth=3), TreeLimits(min_share=0.02), TreeLimits(rows=7), TreeLimits(alike=1)],
)
@pytest.mark.parametrize("phases", [(), ("decode",), ("import", "prefill")])
def test_tree_rows_are_conserved(tree: Tree, limits: TreeLimits, phases: tuple[str, ...]) -> None:
    table = tree_table(tree, limits, phases)
    rows = [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]
    whole = sum(PHASE_MS[name] for name in phases) if phases else RUN_MS
    below: dict[object, float] = {}
    for row in rows:
        if row["parent"] is None:
            continue
        below[row["parent"]] = below.get(row["parent"], 0) + row["total_ns"]  # type: ignore[operator]
    tops = [row for row in rows if row["parent"] is None]
    assert sum(row["total_ns"] for row in tops) == pytest.approx(whole * MS, abs=5)  # type: ignore[misc]
    for row in rows:
        if row["kind"] != "folded":
            assert below.get(row["id"], 0) + row["self_ns"] == pytest.approx(row["total_ns"], abs=30)  # type: ignore[operator]


def test_tree_keeps_layers_apart_and_folds_the_others(tree: Tree) -> None:
    table = tree_table(without_plumbing(tree), TreeLimits(alike=1), ("decode",))
    modules = [row[table.place("module")] for row in table.rows if row[table.place("name")] == "TinyLayer"]
    assert len([path for path in modules if path]) == 1
    full = tree_table(without_plumbing(tree), TreeLimits(), ("decode",))
    paths = column(full, "module")
    assert "model.layers.0" in paths and "model.layers.1" in paths


def test_top_places_join_numbered_layers(tree: Tree) -> None:
    places = top_places(tree, ("prefill", "decode"), 3)
    assert (places[0].name, places[0].module, len(places[0].modules)) == ("aten::mm", "model.layers.*", 2)
    assert places[0].phase is None
    apart = top_places(tree, ("import", "load"), 9, by_phase=True)
    assert {place.phase for place in apart} == {"import", "load"}
    assert sum(place.self_ns for place in apart) == pytest.approx(1500 * MS)


def test_sorting() -> None:
    columns = (
        Column("name", "text", "Name"),
        Column("size", "bytes", "Size"),
        Column("step", "index", "Step"),
    )
    table = Table("t", columns, (("b", None, 2), ("a", 3, 9), ("c", 5, 1)))
    assert column(table.sorted_by("size"), "size") == [5, 3, None]
    assert column(table.sorted_by("name"), "name") == ["a", "b", "c"]
    assert column(table.sorted_by("step"), "step") == [1, 2, 9]
    with pytest.raises(UsageError, match="--sort nope: --view t has the columns name, size, step"):
        table.sorted_by("nope")


def test_limit_tells_what_is_left_out() -> None:
    table = Table("t", (Column("n", "count", "N"),), ((1,), (2,), (3,)))
    assert table.limited(3) is table
    short = table.limited(2)
    assert len(short.rows) == 2 and "1 more row" in short.notes[0]


@pytest.mark.parametrize("name", ["memory", "Decode", ""])
def test_unknown_phase_is_refused(profile: Profile, tree: Tree, name: str) -> None:
    message = "this profile has the phases startup, import"
    with pytest.raises(UsageError, match=message):
        ops_table(tree, (name,))
    with pytest.raises(UsageError, match=message):
        functions_table(tree, (name,))
    with pytest.raises(UsageError, match=message):
        tree_table(tree, TreeLimits(), (name,))
    with pytest.raises(UsageError, match=message):
        phases_table(profile, tree, (name,))


def test_an_empty_tree_has_empty_tables() -> None:
    empty = Tree()
    assert ops_table(empty).rows == functions_table(empty).rows == ()
    assert tree_table(empty, TreeLimits()).rows == ()
    assert top_places(empty, ("decode",), 5) == []
    assert len(without_plumbing(empty)) == 0


def test_machine_table_keeps_types(profile: Profile) -> None:
    rows = {row[:2]: row[2] for row in machine_table(profile.machine).rows}
    assert rows["memory", "RAM total"] == 16 << 30 and rows["gpu", "driver"] is None


def test_a_run_without_any_span(tmp_path: Path) -> None:
    profile = read_profile(handmade(tmp_path / "a.llmflame", until="nothing", status="failed"))
    tree = build_run_tree(profile).tree
    assert phases_table(profile, tree).rows == steps_table(profile).rows == ()
    assert ops_table(tree).rows == ()

"""The device's work as a table, and the tree by each of its metrics."""

from __future__ import annotations

import pytest

from llmflame.analysis.idle_table import NO_GPU
from llmflame.analysis.kernels_table import kernels_table
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.tables import Table
from llmflame.analysis.top_table import layers_together
from llmflame.analysis.tree import Tree
from llmflame.analysis.tree_table import MEANINGS, TREES, TreeLimits, tree_table
from llmflame.errors import UsageError
from tests.gpu_script import US, Script

from .gpu import on_gpu
from .small import observed, op, python, request, stored, window

SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
GEMM = "void cutlass::Kernel<cutlass_80_tensorop_bf16>(cutlass_80_tensorop_bf16::Params)"
FUSED = "triton_poi_fused_add_mul_3"


def _tree(steps: int = 3) -> Tree:
    script = Script()
    script.host(10 * US, SAMPLE)
    script.launch(GEMM, 50 * US, SAMPLE, op("aten::linear"), op("aten::mm"))
    script.launch(GEMM, 30 * US, SAMPLE, op("aten::addmm"), small=True)
    script.launch(FUSED, 8 * US, SAMPLE)
    script.copy("Memcpy DtoH (Device -> Pinned)", 2 * US, 8, SAMPLE, op("aten::item"))
    script.wait(SAMPLE)
    return build_run_tree(on_gpu(script, steps=steps)).tree


def rows(table: Table) -> list[dict[str, object]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, row, strict=True)) for row in table.rows]


def test_one_row_a_kernel_over_all_places() -> None:
    gemm, fused, copy = rows(kernels_table(_tree()))
    assert gemm["full_name"] == GEMM and gemm["name"] == "cutlass::Kernel<cutlass_80_tensorop_bf16>"
    assert gemm["operators"] == "aten::mm, aten::addmm", "the heavier one first, the innermost of each"
    assert gemm == gemm | {"kind": "kernel", "device_ns": 4 * 80 * US, "calls": 8, "device_avg_ns": 40 * US}
    assert gemm["share"] == pytest.approx(80 / 90) and gemm["copied_bytes"] is None
    assert gemm["low_occupancy_share"] == pytest.approx(30 / 80)
    assert fused["fuses"] == "add, mul" and fused["operators"] is None
    assert copy == copy | {"kind": "copy", "copied_bytes": 4 * 8, "low_occupancy_share": None}


def test_kernels_of_one_phase() -> None:
    assert rows(kernels_table(_tree(), ("prefill",)))[0]["device_ns"] == 80 * US
    with pytest.raises(UsageError, match="--phase nope"):
        kernels_table(_tree(), ("nope",))


def _cpu() -> Tree:
    cells = observed({(SAMPLE,): {"wall_ns": 100, "calls": 1}})
    return build_run_tree(stored(request({"prefill": 100}), [(window(1001, "prefill", 100, 0), cells)])).tree


def test_a_cpu_has_no_kernels_and_one_tree() -> None:
    table = kernels_table(_cpu())
    assert table.rows == () and table.notes == (NO_GPU,)
    assert tree_table(_cpu(), TreeLimits()).rows
    for name in ("host", "device", "idle"):
        with pytest.raises(UsageError, match="one tree, wall time: no GPU worked"):
            tree_table(_cpu(), TreeLimits(), (), TREES[name])


@pytest.mark.parametrize("name", list(TREES))
def test_each_tree_adds_up_to_its_own_whole(name: str) -> None:
    tree = _tree()
    table = tree_table(tree, TreeLimits(), (), TREES[name])
    found = rows(table)
    assert found[0]["total_ns"] == pytest.approx(sum(tree.selfs[TREES[name].name]), abs=1)
    assert sum(row["self_ns"] for row in found) == pytest.approx(found[0]["total_ns"], abs=len(found))  # type: ignore[misc]
    assert found[0]["share"] == 1.0
    assert table.notes == (() if name == "wall" else (MEANINGS[TREES[name].name],))


@pytest.mark.parametrize(
    ("path", "together"),
    [
        ("model.layers.11.self_attn", "model.layers.*.self_attn"),
        ("3", "*"),
        ("experts.3", "experts.*"),
        ("a.1.2.b", "a.*.*.b"),
        ("norm2.x3.4y", "norm2.x3.4y"),
        ("", ""),
    ],
)
def test_numbers_of_layers_become_stars(path: str, together: str) -> None:
    assert layers_together(path) == together

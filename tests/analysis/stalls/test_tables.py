"""The kernels and their instructions as tables, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.stalls.breakdown import stall_breakdown
from llmflame.analysis.stalls.instructions_table import NO_NAMES, instructions_table
from llmflame.analysis.stalls.stalls_table import FUNCTION_LEVEL, NO_STALLS, stalls_table
from llmflame.analysis.tables import Table
from llmflame.errors import UsageError
from llmflame.store.profile import read_profile
from llmflame.store.rows import StallRow, WindowRow
from tests.handmade_gpu import ADD, GEMM, STEPS, handmade_gpu
from tests.handmade_stalls import ATTENTION, STALLS, UNSEEN, handmade_stalls, stall_rows, step_rows


def records(table: Table) -> list[dict[str, Any]]:
    return [dict(zip([c.name for c in table.columns], row, strict=True)) for row in table.rows]


def kernels(path: Path, *phases: str) -> list[dict[str, Any]]:
    profile = read_profile(path)
    return records(stalls_table(profile, build_run_tree(profile).tree, phases))


def test_a_kernel_with_all_it_is_asked_for(tmp_path: Path) -> None:
    rows = kernels(handmade_stalls(tmp_path / "run.llmflame"), "decode")
    assert [row["full_name"] for row in rows] == [GEMM, ATTENTION, ADD, UNSEEN]
    gemm = rows[0]
    assert (gemm["samples"], gemm["not_issued"]) == (10_000, 8_305)
    assert gemm["long_scoreboard"] == 0.77 and gemm["long_scoreboard_not_issued"] == 0.7
    assert gemm["device_memory"] == 0.77 and gemm["barriers"] == 0.059 and gemm["shared_memory"] == 0
    assert gemm["not_issued_share"] == pytest.approx(0.8305)
    assert (gemm["dominant"], gemm["bound"]) == ("long_scoreboard", "memory")
    # Three layers of 40 and 80 us and 100 us at the end, with 1.2 GB of weights and 8 KiB at each product.
    step_ns = 3 * 120_000 + 100_000
    assert gemm["device_ns"] == STEPS * step_ns
    moved = 1_200_000_000 + 7 * 8_192
    assert gemm["memory_share"] == pytest.approx(moved / (step_ns / 1e9) / 4.0e12, rel=1e-6)
    assert (rows[2]["bound"], rows[1]["bound"]) == ("issue", "latency")


def test_too_few_samples_say_nothing_of_a_bound(tmp_path: Path) -> None:
    unseen = kernels(handmade_stalls(tmp_path / "run.llmflame"), "decode")[-1]
    assert unseen["samples"] == 30 and unseen["device_ns"] == 0
    assert unseen["bound"] is None and unseen["dominant"] is None


def test_phases_are_apart(tmp_path: Path) -> None:
    path = handmade_stalls(tmp_path / "run.llmflame")
    assert {row["phase"] for row in kernels(path)} == {"prefill", "decode"}
    assert {row["phase"] for row in kernels(path, "prefill")} == {"prefill"}
    with pytest.raises(UsageError, match="nowhere"):
        kernels(path, "nowhere")


def test_every_share_adds_up(tmp_path: Path) -> None:
    groups = (
        "device_memory",
        "shared_memory",
        "barriers",
        "instruction_fetch",
        "arithmetic",
        "issuing",
        "other",
    )
    for row in kernels(handmade_stalls(tmp_path / "run.llmflame")):
        assert sum(row[group] for group in groups) == pytest.approx(1)


def test_functions_of_one_name_are_one_kernel(tmp_path: Path) -> None:
    """An exact step's functions are numbered apart, but continuous ranges of the phase speak for it."""
    path = handmade_stalls(tmp_path / "run.llmflame", [*stall_rows(), *step_rows()])
    profile = read_profile(path)
    found = {one.name: one for one in stall_breakdown(profile, build_run_tree(profile).tree, "decode")}
    assert found[GEMM].samples == sum(samples for samples, _ in STALLS[GEMM].values())


def test_where_only_one_step_was_sampled_it_speaks_for_its_phase(tmp_path: Path) -> None:
    rows = [row for row in stall_rows() if not isinstance(row, WindowRow | StallRow)]
    profile = read_profile(handmade_stalls(tmp_path / "run.llmflame", [*rows, *step_rows()]))
    table = stalls_table(profile, build_run_tree(profile).tree)
    assert {row["phase"] for row in records(table)} == {"decode"}
    assert table.notes == (f"{FUNCTION_LEVEL}; of decode step 1 alone, each kernel run by itself",)


def test_without_stalls_a_table_says_how_to_get_them(tmp_path: Path) -> None:
    profile = read_profile(handmade_gpu(tmp_path / "run.llmflame"))
    for table in (stalls_table(profile, build_run_tree(profile).tree), instructions_table(profile)):
        assert (table.rows, table.notes) == ((), (NO_STALLS,))


def test_instructions_by_line_and_opcode(tmp_path: Path) -> None:
    profile = read_profile(handmade_stalls(tmp_path / "run.llmflame"))
    rows = records(instructions_table(profile, ("decode",)))
    first = rows[0]
    assert (first["full_name"], first["opcode"], first["class"]) == (GEMM, "LDG.E.128", "global loads")
    assert (first["reason"], first["samples"], first["share"]) == ("long_scoreboard", 7_700, 0.77)
    lines = {row["line"]: row["reason"] for row in rows if row["full_name"] == ADD and row["line"]}
    assert set(lines) == {"fused.py:12"}
    whole = sum(count for samples in STALLS.values() for count, _ in samples.values())
    assert sum(row["samples"] for row in rows) == whole


def test_without_binaries_instructions_are_offsets(tmp_path: Path) -> None:
    path = handmade_stalls(tmp_path / "run.llmflame", list(stall_rows(instructions=False)))
    table = instructions_table(read_profile(path))
    assert table.notes == (NO_NAMES,)
    assert {row["opcode"] for row in records(table)} == {None}

"""What the summary says of the pass: each check passes on a sound recording and fails on one that is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.analysis.kernel_name import short_kernel_name
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.stalls.checks import stall_checks
from llmflame.analysis.stalls.coverage import stall_coverage
from llmflame.analysis.stalls.document import stalls_document
from llmflame.store.profile import read_profile
from llmflame.store.rows import PassRow, Row
from tests.handmade_gpu import ADD, GEMM, handmade_gpu
from tests.handmade_stalls import (
    ONE_STEP,
    STALLS,
    UNSEEN,
    WHOLE,
    handmade_stalls,
    stall_rows,
    step_rows,
)


def checks(path: Path, rows: list[Row] | None = None) -> dict[str, tuple[bool | None, str]]:
    profile = read_profile(handmade_stalls(path / "run.llmflame", rows))
    return {one.name: (one.passed, one.words) for one in stall_checks(profile, build_run_tree(profile))}


def test_a_sound_recording(tmp_path: Path) -> None:
    found = checks(tmp_path, [*stall_rows(), *step_rows()])
    assert {passed for passed, _ in found.values()} == {True}
    assert found["stalls of decode"][1].startswith(f"{WHOLE:,} samples, 99.8 %")
    assert found["launches of decode step 1"][1].startswith("13 launches in the order")


def test_a_recording_without_stalls_is_not_checked(tmp_path: Path) -> None:
    profile = read_profile(handmade_gpu(tmp_path / "run.llmflame"))
    run = build_run_tree(profile)
    assert stall_checks(profile, run) == []
    assert stalls_document(profile, run.tree) is None


def test_samples_of_kernels_that_nobody_traced(tmp_path: Path) -> None:
    found = checks(tmp_path, list(stall_rows({**STALLS, UNSEEN: {"wait": (1_000, 0)}})))
    passed, words = found["stalls of decode"]
    assert passed is False and words.endswith(f"not in {UNSEEN}")


def test_kernels_without_samples(tmp_path: Path) -> None:
    passed, words = checks(tmp_path, list(stall_rows({ADD: STALLS[ADD]})))["stalls cover decode"]
    assert passed is False and words.endswith("busy time has stall reasons")


@pytest.mark.parametrize(
    ("rows", "name", "words"),
    [
        (list(stall_rows(dropped=7)), "stall samples of decode", "7 samples dropped"),
        (list(stall_rows(buffer_full=True)), "stall samples of decode", "buffer ran full"),
        (list(stall_rows(sampled_wall_rate=1.05)), "cost of sampling decode", "5.0 % longer"),
    ],
)
def test_what_was_lost_and_what_it_cost(tmp_path: Path, rows: list[Row], name: str, words: str) -> None:
    passed, said = checks(tmp_path, rows)[name]
    assert passed is False and words in said


def test_a_pass_that_was_refused_says_why(tmp_path: Path) -> None:
    row = PassRow("stalls", "failed", "the driver allows sampling to administrators alone", 1, 0, 1, 1)
    assert checks(tmp_path, [row]) == {"stalls": (False, row.reason)}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            step_rows((*ONE_STEP[:-1], ADD)),
            f"launch 13 of decode step 1 was {short_kernel_name(ADD)} when sampled and {GEMM} when traced",
        ),
        (step_rows((*ONE_STEP, GEMM)), "decode step 1 launched 14 kernels when sampled and 13 when traced"),
        (step_rows(ONE_STEP[:5], events=12), "launched 12 kernels when sampled and 13 when traced"),
        (step_rows(step=8), "the anatomy pass traced no window of decode step 8"),
    ],
)
def test_launches_that_do_not_match_are_refused(tmp_path: Path, rows: list[Row], words: str) -> None:
    found = checks(tmp_path, [*stall_rows(), *rows])
    passed, said = next(check for name, check in found.items() if name.startswith("launches of"))
    assert passed is False and words in said and said.endswith("stalls of single launches are left out")


def test_short_launches_without_samples_are_no_mismatch(tmp_path: Path) -> None:
    rows = [row for row in step_rows() if getattr(row, "launch", 1) != 13]
    assert checks(tmp_path, [*stall_rows(), *rows])["launches of decode step 1"] == (
        True,
        "13 launches in the order in which they were traced, 12 with samples",
    )


def test_time_by_group(tmp_path: Path) -> None:
    """All of the kernels with samples: each divided by its own shares."""
    profile = read_profile(handmade_stalls(tmp_path / "run.llmflame"))
    for one in stall_coverage(profile, build_run_tree(profile).tree):
        assert sum(one.groups_ns.values()) == pytest.approx(one.explained_ns)

"""Frames of stalls below kernels: what a kernel has is divided, and nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.stalls.stalled_tree import LEAST_SHARE, with_stalls
from llmflame.analysis.tree import Tree
from llmflame.store.profile import Profile, read_profile
from tests.handmade_gpu import ADD, GEMM, handmade_gpu
from tests.handmade_stalls import ATTENTION, STALLS, handmade_stalls, stall_rows, step_rows

DIVIDED = ("device_ns", "wall_ns")


def recorded(path: Path) -> tuple[Profile, RunTree]:
    profile = read_profile(path)
    return profile, build_run_tree(profile)


@pytest.fixture(scope="module")
def stalled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tree, Tree]:
    profile, run = recorded(handmade_stalls(tmp_path_factory.mktemp("stalls") / "run.llmflame"))
    return run.tree, with_stalls(run.tree, profile, run.nodes)


def words(tree: Tree, node: int) -> list[str]:
    return [tree.frame(at).name for at in tree.path(node)]


def children(tree: Tree, node: int) -> list[int]:
    return [child for child, parent in enumerate(tree.parents) if parent == node]


def below(tree: Tree, kernel: str, phase: str, metric: str = "device_ns") -> dict[tuple[str, ...], float]:
    """By the frames below a kernel: what they have, over all places of the kernel in a phase."""
    found: dict[tuple[str, ...], float] = {}
    for node, where in enumerate(tree.phases()):
        if where == phase and tree.frame(node).kind in ("kernel", "stall_group", "stall"):
            path = words(tree, node)
            if kernel in path and tree.selfs[metric][node]:
                key = tuple(path[path.index(kernel) + 1 :])
                found[key] = found.get(key, 0.0) + tree.selfs[metric][node]
    return found


def test_every_metric_folds_to_what_it_was(stalled: tuple[Tree, Tree]) -> None:
    plain, tree = stalled
    assert len(tree) > len(plain)
    for metric in plain.selfs:
        before, after = plain.totals(metric), tree.totals(metric)
        kept = [
            after[node] for node in range(len(tree)) if tree.frame(node).kind not in ("stall_group", "stall")
        ]
        assert kept == pytest.approx(before, rel=1e-12, abs=1e-6)


def test_a_kernels_time_is_its_reasons(stalled: tuple[Tree, Tree]) -> None:
    plain, tree = stalled
    for metric in DIVIDED:
        whole = sum(below(plain, GEMM, "decode", metric).values())
        found = below(tree, GEMM, "decode", metric)
        samples = sum(count for count, _ in STALLS[GEMM].values())
        assert found["device memory", "long_scoreboard"] == pytest.approx(whole * 7_700 / samples)
        assert found["issuing", "selected"] == pytest.approx(whole * 700 / samples)
        assert sum(found.values()) == pytest.approx(whole, rel=1e-12)


def test_rare_reasons_stay_in_their_group(stalled: tuple[Tree, Tree]) -> None:
    _, tree = stalled
    found = below(tree, GEMM, "decode")
    samples = sum(count for count, _ in STALLS[GEMM].values())
    assert 10 / samples < LEAST_SHARE
    assert ("other", "misc") not in found and found["other",] > 0


def test_groups_come_in_their_order_and_frames_say_how_they_were_got(stalled: tuple[Tree, Tree]) -> None:
    _, tree = stalled
    kernel = next(n for n in range(len(tree)) if tree.frame(n).name == GEMM)
    groups = children(tree, kernel)
    assert [tree.frame(n).name for n in groups] == [
        "device memory", "barriers", "arithmetic", "issuing", "other"
    ]  # fmt: skip
    assert {tree.frame(n).kind for n in groups} == {"stall_group"}
    assert {tree.origins[n] for n in groups} == {"sampled"}
    assert {tree.frame(n).kind for group in groups for n in children(tree, group)} == {"stall"}


def test_nodes_stay_in_order(stalled: tuple[Tree, Tree]) -> None:
    for tree in stalled:
        assert all(parent < node for node, parent in enumerate(tree.parents))


def test_a_kernel_without_samples_keeps_its_time(tmp_path: Path) -> None:
    path = handmade_stalls(
        tmp_path / "run.llmflame", list(stall_rows({GEMM: STALLS[GEMM]}, instructions=False))
    )
    profile, run = recorded(path)
    tree = with_stalls(run.tree, profile, run.nodes)
    assert below(tree, ADD, "decode") == below(run.tree, ADD, "decode")
    assert len(below(tree, GEMM, "decode")) > 1


def test_without_samples_it_is_the_same_tree(tmp_path: Path) -> None:
    profile, run = recorded(handmade_gpu(tmp_path / "run.llmflame"))
    assert with_stalls(run.tree, profile, run.nodes) is run.tree


def test_launches_that_were_told_apart_speak_for_their_own_places(tmp_path: Path) -> None:
    """Every product of the step waits longer at barriers than the one before it."""
    profile, run = recorded(handmade_stalls(tmp_path / "run.llmflame", [*stall_rows(), *step_rows()]))
    tree = with_stalls(run.tree, profile, run.nodes)
    shares = []
    for node, where in enumerate(tree.phases()):
        if where == "decode" and tree.frame(node).name == GEMM:
            reasons = {tree.frame(leaf).name: tree.selfs["device_ns"][leaf]
                       for group in children(tree, node) for leaf in children(tree, group)}  # fmt: skip
            shares.append(reasons["barrier"] / sum(reasons.values()))
    launches = [1, 3, 5, 7, 9, 11, 13]
    assert sorted(shares) == pytest.approx([10 * k / (100 + 10 * k) for k in launches])
    # Prefill has no such step: there the functions' own shares hold.
    assert ("barriers", "barrier") in below(tree, GEMM, "prefill")
    at_function = below(tree, ATTENTION, "prefill")
    assert at_function["barriers", "barrier"] / sum(at_function.values()) == pytest.approx(0.5)


def test_a_mismatch_of_launches_leaves_the_functions_shares(tmp_path: Path) -> None:
    wrong = step_rows((ADD, *(name for name in (GEMM,) * 12)))
    profile, run = recorded(handmade_stalls(tmp_path / "run.llmflame", [*stall_rows(), *wrong]))
    tree = with_stalls(run.tree, profile, run.nodes)
    found = below(tree, GEMM, "decode")
    samples = sum(count for count, _ in STALLS[GEMM].values())
    assert found["device memory", "long_scoreboard"] / sum(found.values()) == pytest.approx(7_700 / samples)


def test_instructions_are_below_reasons(tmp_path: Path) -> None:
    """A product's loads by class, an addition's by the line of its source; what isn't known stays above."""
    profile, run = recorded(handmade_stalls(tmp_path / "run.llmflame"))
    tree = with_stalls(run.tree, profile, run.nodes, instructions=True)
    leaves = {
        (tree.frame(parent).name, frame.name, frame.file, frame.line)
        for node, parent in enumerate(tree.parents)
        if (frame := tree.frame(node)).kind == "instruction"
    }
    assert leaves == {
        ("long_scoreboard", "global loads", None, None),
        ("wait", "tensor cores", None, None),
        ("not_selected", "floating point", "fused.py", 12),
        ("selected", "floating point", "fused.py", 12),
    }
    plain = with_stalls(run.tree, profile, run.nodes)
    for metric in run.tree.selfs:
        kept = [tree.totals(metric)[n] for n in range(len(tree)) if tree.frame(n).kind != "instruction"]
        assert kept == pytest.approx(plain.totals(metric), rel=1e-12, abs=1e-6)


REASONS = ["long_scoreboard", "wait", "selected", "barrier", "misc", "of_a_later_chip"]
COUNTS = st.tuples(st.integers(0, 10**12), st.floats(0, 1)).map(
    lambda pair: (pair[0], int(pair[0] * pair[1]))
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=st.dictionaries(
        st.sampled_from([GEMM, ADD, ATTENTION]), st.dictionaries(st.sampled_from(REASONS), COUNTS)
    )
)
def test_time_is_conserved_whatever_was_sampled(
    samples: dict[str, dict[str, tuple[int, int]]], tmp_path: Path
) -> None:
    path = tmp_path / "run.llmflame"
    path.unlink(missing_ok=True)
    profile, run = recorded(handmade_stalls(path, list(stall_rows(samples, instructions=False))))
    tree = with_stalls(run.tree, profile, run.nodes)
    for metric in run.tree.selfs:
        assert sum(tree.selfs[metric]) == pytest.approx(sum(run.tree.selfs[metric]), rel=1e-12, abs=1e-6)
        assert tree.totals(metric)[0] == pytest.approx(run.tree.totals(metric)[0], rel=1e-12, abs=1e-6)
    for metric in DIVIDED:
        assert min(tree.selfs[metric]) >= 0

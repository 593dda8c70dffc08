"""On a CUDA device: kernels hang below the operators that launched them, none is lost, and time adds up."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.device_checks import device_checks
from llmflame.analysis.idle import idle
from llmflame.analysis.phases import phase_spans
from llmflame.analysis.run_tree import RunTree, build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.store.metrics import WORK
from llmflame.store.profile import Profile
from tests.gpu.small import cells_of, frames_above, traced_steps, works_of
from tests.integration import checkpoints
from tests.integration.test_live import assert_conserved

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
NEW_TOKENS = 12
COPY = re.compile(r"Memcpy (HtoD|DtoH|DtoD|HtoH|PtoP) \(|Memset \(")
OF_THE_MACHINE = "alone on the GPU"
"""A check that says nothing of the recording itself."""
PREFIX = 8
"""Kernels that go first where steps are counted by hand: a tracer may lose the first of a session."""


@dataclass
class Recorded:
    """A pipeline's recording, as a tree and as it was stored."""

    profile: Profile
    run: RunTree
    model: Any
    ids: torch.Tensor

    def nodes(self, kind: str) -> list[int]:
        tree = self.run.tree
        return [node for node in range(len(tree)) if tree.frame(node).kind == kind]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """Of `generate` itself, so that the same can be counted by hand."""
    from transformers import AutoModelForCausalLM

    folder = checkpoints.tiny(tmp_path_factory.mktemp("tiny"))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.bfloat16).to("cuda").eval()
    ids = torch.arange(1, 9, device="cuda").reshape(1, 8)
    output = tmp_path_factory.mktemp("out") / "cuda.llmflame"
    with llmflame.Recorder(model, output, repetitions=2) as recorder:
        for _ in recorder.passes():
            generate(model, ids)
    return Recorded(recorder.profile, build_run_tree(recorder.profile), model, ids)


def generate(model: Any, ids: torch.Tensor) -> None:
    model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS, do_sample=False)


@pytest.fixture(scope="module")
def of_a_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    from transformers import pipeline

    folder = checkpoints.tiny(tmp_path_factory.mktemp("tiny"))
    made = pipeline("text-generation", model=str(folder), dtype=torch.bfloat16, device="cuda")
    output = tmp_path_factory.mktemp("out") / "pipeline.llmflame"
    return llmflame.profile(made, "A river runs", new_tokens=10, repetitions=2, output=output)


# --- the tree --------------------------------------------------------------------------------------------


def test_wall_time_is_conserved(recorded: Recorded, of_a_pipeline: Profile) -> None:
    assert_conserved(recorded.profile)
    assert_conserved(of_a_pipeline)


def test_the_tree_of_each_phase_is_the_phases_measured_wall(of_a_pipeline: Profile) -> None:
    tree = build_run_tree(of_a_pipeline).tree
    totals = tree.totals("wall_ns")
    by_phase = {tree.frame(n).name: totals[n] for n, parent in enumerate(tree.parents) if parent == 0}
    for span in phase_spans(of_a_pipeline):
        assert by_phase[span.name] == pytest.approx(span.wall_ns, rel=0.005), span.name


def test_every_kernel_hangs_below_its_launch_and_operator(recorded: Recorded) -> None:
    tree, kernels = recorded.run.tree, recorded.nodes("kernel")
    assert kernels
    below_an_operator = 0
    for node in [*kernels, *recorded.nodes("copy")]:
        kinds = [tree.frame(above).kind for above in tree.path(node)]
        assert kinds[-2] == "runtime"
        below_an_operator += "op" in kinds
    assert below_an_operator >= 0.9 * len(kernels)


def test_kernels_have_device_time_and_no_host_time(recorded: Recorded) -> None:
    tree = recorded.run.tree
    for node in recorded.nodes("kernel"):
        assert tree.selfs["device_ns"][node] > 0
        assert tree.selfs["host_ns"][node] == 0


def test_idle_time_is_charged_to_named_frames(recorded: Recorded) -> None:
    found = idle(recorded.run.tree, ("prefill", "decode"))
    assert found is not None and 0 < found.total_ns < found.wall_ns
    assert found.named_ns >= 0.95 * found.total_ns


def test_device_memory_is_in_the_phases(of_a_pipeline: Profile) -> None:
    document = summarise(of_a_pipeline)
    peaks = {phase["name"]: phase["device_peak_bytes"] for phase in document["phases"]}
    assert peaks["prefill"] > 0
    assert peaks["decode"] > 0


# --- windows ---------------------------------------------------------------------------------------------


def test_no_launch_of_a_window_lost_its_kernel(recorded: Recorded, of_a_pipeline: Profile) -> None:
    for profile in (recorded.profile, of_a_pipeline):
        assert [window.dropped for window in profile.windows] == [0] * len(profile.windows)


def test_the_tracers_accounts_of_the_device_agree(recorded: Recorded, of_a_pipeline: Profile) -> None:
    for profile in (recorded.profile, of_a_pipeline):
        checks = [
            check for check in device_checks(profile, build_run_tree(profile)) if check.name != OF_THE_MACHINE
        ]
        assert len(checks) >= 5
        assert [f"{check.name}: {check.words}" for check in checks if not check.passed] == []


def test_slices_cover_each_window(recorded: Recorded, of_a_pipeline: Profile) -> None:
    """In order, without a gap, and each node has as much of them as of wall time."""
    for profile in (recorded.profile, of_a_pipeline):
        for window in traced_steps(profile):
            pieces = [piece for piece in profile.slices if piece.window == window.id]
            starts = [piece.start_ns for piece in pieces]
            assert starts[0] == 0 and starts[-1] < window.wall_ns
            assert starts == sorted(set(starts))
            spent: Counter[int] = Counter()
            for piece, end in zip(pieces, [*starts[1:], window.wall_ns], strict=True):
                spent[piece.node] += end - piece.start_ns
            assert spent == cells_of(profile, window, "wall_ns")


def test_work_is_within_reach_of_its_window(recorded: Recorded) -> None:
    """No clock is off by more than a window; a launch lies inside, its work may end behind it."""
    for window in traced_steps(recorded.profile):
        works = works_of(recorded.profile, window)
        assert works
        for work in works:
            assert work.launched_ns is not None and 0 <= work.launched_ns <= window.wall_ns
            assert work.launched_ns - 1000 <= work.start_ns <= work.end_ns < 2 * window.wall_ns
        assert sum(cells_of(recorded.profile, window, "device_ns").values()) == sum(
            work.end_ns - work.start_ns for work in works
        )


@pytest.mark.parametrize("step", [0, 1, 8])
def test_a_step_has_the_work_that_torchs_flat_list_has(recorded: Recorded, step: int) -> None:
    """Counted by hand: the same step of another request under torch.profiler, without stacks or a tree."""
    profile = recorded.profile
    (window,) = (window for window in traced_steps(profile) if window.step == step)
    ours: Counter[str] = Counter()
    for work in works_of(profile, window):
        ours[next(frames_above(profile, work.node)).kind] += 1
    theirs = by_hand(recorded.model, recorded.ids, step)
    assert ours["kernel"] > 0
    assert ours == theirs


def by_hand(model: Any, ids: torch.Tensor, step: int) -> Counter[str]:
    """Kernels and copies from one call of the model to the next."""
    calls, counts, state = itertools.count(), Counter[str](), dict[str, Any]()

    def before(*_call: Any) -> None:
        index = next(calls)
        if "profiler" in state:
            torch.cuda.synchronize()
            profiler = state.pop("profiler")
            profiler.__exit__(None, None, None)
            counts.update(kinds(profiler.profiler.kineto_results.events()))
        if index == step:
            activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
            state["profiler"] = torch.profiler.profile(activities=activities)
            state["profiler"].__enter__()
            for _ in range(PREFIX):
                torch.cuda._sleep(100)  # type: ignore[no-untyped-call]
            torch.cuda.synchronize()

    handle = model.register_forward_pre_hook(before)
    try:
        generate(model, ids)
    finally:
        handle.remove()
    return counts


def kinds(events: list[Any]) -> Counter[str]:
    found: Counter[str] = Counter()
    for event in events:
        if str(event.device_type()).endswith("CPU") or event.is_user_annotation():
            continue
        name = event.name()
        if name != "[memory]" and "spin_kernel" not in name:
            found["copy" if name.startswith(("Memcpy", "Memset")) else "kernel"] += 1
    return found


def test_steps_of_one_kind_launch_the_same(recorded: Recorded) -> None:
    counts = {
        window.step: len(works_of(recorded.profile, window))
        for window in traced_steps(recorded.profile)
        if window.span_name == "decode"
    }
    assert set(counts) == {1, 8} and len(set(counts.values())) == 1


def test_copies_say_their_direction_and_bytes(recorded: Recorded) -> None:
    profile = recorded.profile
    names = {work: next(frames_above(profile, work.node)) for work in profile.device_work}
    copies = [(work, frame.name) for work, frame in names.items() if frame.kind == "copy"]
    assert copies, "generate asks the device whether it is done"
    for work, name in copies:
        assert COPY.match(name), name
        assert work.bytes is not None and work.bytes > 0
    assert any(name.startswith("Memcpy DtoH") for _, name in copies)
    assert all(work.bytes is None for work, frame in names.items() if frame.kind == "kernel")


def test_waiting_for_the_device_is_a_frame_of_its_own(recorded: Recorded) -> None:
    """Each step reads one number from the device."""
    profile = recorded.profile
    for window in traced_steps(profile):
        waits = [
            list(frames_above(profile, node))[:2]
            for node in cells_of(profile, window, "wall_ns")
            if next(frames_above(profile, node)).kind == "wait"
        ]
        assert waits
        assert all(call.kind == "runtime" and call.name.endswith("Synchronize") for _, call in waits)


def test_small_grids_are_told(recorded: Recorded) -> None:
    """A model this small never fills the device: the tracer gave each kernel's grid."""
    for window in traced_steps(recorded.profile):
        small = sum(cells_of(recorded.profile, window, "low_occupancy_ns").values())
        whole = sum(cells_of(recorded.profile, window, "device_ns").values())
        assert 0 < small <= whole


def test_the_work_of_the_same_steps_is_known(recorded: Recorded) -> None:
    """From a request of its own: torch holds on to every input there."""
    profile = recorded.profile
    noted = [window for window in profile.windows if window.kind == "shapes"]
    assert {window.step for window in noted} >= {window.step for window in traced_steps(profile)}
    weights = sum(one.numel() * one.element_size() for one in recorded.model.parameters())
    for window in noted:
        assert works_of(profile, window) == []
        assert sum(cells_of(profile, window, "flops").values()) > 0
        read = sum(cells_of(profile, window, "weight_bytes").values())
        assert read == pytest.approx(weights, rel=0.02)
        metrics = {profile.metrics[c.metric].name for c in profile.cells if c.window == window.id}
        assert metrics <= WORK

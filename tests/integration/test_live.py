"""Live objects in this process: what is recorded adds up, and nothing of the object is changed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.phases import decode_steps, phase_spans, run_wall_ns
from llmflame.analysis.run_tree import build_run_tree
from llmflame.errors import UsageError
from llmflame.exports.chrome import chrome
from llmflame.exports.request import Request
from llmflame.probes.sections import STEP
from llmflame.store.profile import Profile

ROUNDED = 1e-3
"""Microseconds: a trace's times are nanoseconds in three digits behind the point."""
PROMPT = "Once upon a time there was a river"


def assert_conserved(profile: Profile) -> None:
    """Every nanosecond of every phase is in the tree, and no frame has less than none."""
    tree = build_run_tree(profile).tree
    wall = tree.selfs["wall_ns"]
    assert sum(wall) == pytest.approx(run_wall_ns(profile), rel=1e-9)
    assert min(wall) >= 0
    totals = tree.totals("wall_ns")
    by_phase = {tree.frame(n).name: totals[n] for n, p in enumerate(tree.parents) if p == 0}
    for span in phase_spans(profile):
        assert by_phase[span.name] == pytest.approx(span.wall_ns, abs=1)


def hooks_of(model: torch.nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_a_pipeline_is_profiled_and_left_as_it_was(tiny_pipeline: Any, tmp_path: Path) -> None:
    before = dict(tiny_pipeline.model.generation_config.to_dict())
    expected = tiny_pipeline(PROMPT, max_new_tokens=6, do_sample=False)
    state = torch.get_rng_state()
    profile = llmflame.profile(tiny_pipeline, PROMPT, new_tokens=10, output=tmp_path / "a.llmflame")
    assert torch.equal(torch.get_rng_state(), state)
    assert tiny_pipeline.model.generation_config.to_dict() == before
    assert "_forward" not in vars(tiny_pipeline)
    assert hooks_of(tiny_pipeline.model) == 0
    assert tiny_pipeline(PROMPT, max_new_tokens=6, do_sample=False) == expected
    assert [s.name for s in phase_spans(profile)] == [
        "tokenize",
        "prepare",
        "prefill",
        "decode",
        "detokenize",
    ]
    assert len(decode_steps(profile, repetition=0)) == 9
    assert_conserved(profile)


def test_it_is_known_what_each_traced_window_did_when(tiny_pipeline: Any, tmp_path: Path) -> None:
    profile = llmflame.profile(tiny_pipeline, PROMPT, new_tokens=10, output=tmp_path / "a.llmflame")
    traced = {row.id: row for row in profile.windows if row.kind == "traced"}
    assert {"prefill step 0", "decode step 1", "decode step 8"} <= {row.label for row in traced.values()}
    wall = next(number for number, metric in profile.metrics.items() if metric.name == "wall_ns")
    for window, row in traced.items():
        pieces = [piece for piece in profile.slices if piece.window == window]
        starts = [piece.start_ns for piece in pieces]
        assert starts[0] == 0 and starts == sorted(set(starts)) and starts[-1] < row.wall_ns
        spent: Counter[int] = Counter()
        for piece, end in zip(pieces, [*starts[1:], row.wall_ns], strict=True):
            spent[piece.node] += end - piece.start_ns
        cells = {cell.node: cell.value for cell in profile.cells if cell[::2] == (window, wall)}
        assert spent == cells, row.label
    assert not any(report.name.startswith("slices left out") for report in profile.probe_reports)


def test_frames_on_the_timeline_nest_and_their_outermost_cover_the_window(
    tiny_pipeline: Any, tmp_path: Path
) -> None:
    profile = llmflame.profile(tiny_pipeline, PROMPT, new_tokens=10, output=tmp_path / "a.llmflame")
    events = json.loads(chrome(Request(profile, all_frames=True)))["traceEvents"]
    track = [event for event in events if event["ph"] == "X" and (event["pid"], event["tid"]) == (2, 1)]
    (window,) = (event for event in track if event["name"] == "decode, step 8")
    begin, end = window["ts"], window["ts"] + window["dur"]
    inside = [one for one in track if one is not window and begin <= one["ts"] < end]
    ends, outermost = [end], 0.0
    for event in sorted(inside, key=lambda event: (event["ts"], -event["dur"])):
        while ends[-1] <= event["ts"]:
            ends.pop()
        assert event["ts"] + event["dur"] <= ends[-1] + ROUNDED
        outermost += event["dur"] if len(ends) == 1 else 0
        ends.append(event["ts"] + event["dur"])
    assert outermost == pytest.approx(window["dur"], abs=1)
    modules = {event["name"].split()[0] for event in inside if event["cat"] == "module"}
    assert {"LlamaForCausalLM", "LlamaDecoderLayer", "Linear"} <= modules
    assert {"aten::mm"} <= {event["name"] for event in inside if event["cat"] == "op"}


def test_a_model_needs_its_tokenizer(tiny_pipeline: Any, tmp_path: Path) -> None:
    model, tokenizer = tiny_pipeline.model, tiny_pipeline.tokenizer
    with pytest.raises(UsageError, match="tokenizer"):
        llmflame.profile(model, PROMPT, output=tmp_path / "a.llmflame")
    assert list(tmp_path.iterdir()) == []
    profile = llmflame.profile(model, PROMPT, tokenizer=tokenizer, new_tokens=4, repetitions=1)
    assert len(decode_steps(profile)) == 3


def test_a_batch_of_four_keeps_the_invariants(tiny_pipeline: Any, tmp_path: Path) -> None:
    profile = llmflame.profile(
        tiny_pipeline, PROMPT, new_tokens=5, batch_size=4, repetitions=2, output=tmp_path / "a.llmflame"
    )
    assert_conserved(profile)
    steps = decode_steps(profile, repetition=1)
    assert [step.tokens for step in steps] == [4, 4, 4, 4]
    assert profile.subject["batch_size"] == 4


def test_a_custom_python_layer_keeps_its_place(tiny_pipeline: Any, tmp_path: Path) -> None:
    class Shouting(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.louder(self.inner(x))

        def louder(self, x: torch.Tensor) -> torch.Tensor:
            return x * 1.0

    layer = tiny_pipeline.model.model.layers[1]
    layer.mlp = Shouting(layer.mlp)
    profile = llmflame.profile(tiny_pipeline, PROMPT, new_tokens=4, output=tmp_path / "a.llmflame")
    assert_conserved(profile)
    tree = build_run_tree(profile).tree
    louder = [n for n in range(len(tree)) if tree.frame(n).name == "louder"]
    assert louder
    for node in louder:
        modules = [
            tree.frame(above).module for above in tree.path(node) if tree.frame(above).kind == "module"
        ]
        assert modules[-1] == "model.layers.1.mlp"


def test_a_wrapped_generate_keeps_the_invariants(tiny_pipeline: Any, tmp_path: Path) -> None:
    model = tiny_pipeline.model
    generate = model.generate

    def counted(*args: Any, **kwargs: Any) -> Any:
        counted.calls += 1  # type: ignore[attr-defined]
        return generate(*args, **kwargs)

    counted.calls = 0  # type: ignore[attr-defined]
    model.generate = counted
    profile = llmflame.profile(
        tiny_pipeline, PROMPT, new_tokens=4, repetitions=2, output=tmp_path / "a.llmflame"
    )
    # warm-up, two clean, module by module, windows, shapes
    assert counted.calls == 7  # type: ignore[attr-defined]
    assert_conserved(profile)
    assert any(frame.name == "counted" for frame in profile.frames.values())


def test_recorder_passes_and_a_plain_model(tiny_pipeline: Any, tmp_path: Path) -> None:
    model, ids = tiny_pipeline.model, torch.arange(1, 9).reshape(1, 8)
    with llmflame.Recorder(model, tmp_path / "a.llmflame", repetitions=2) as recorder:
        names = []
        for name in recorder.passes():
            names.append(name)
            model.generate(ids, max_new_tokens=4, do_sample=False)
    assert names == ["warmup", "clean", "clean", "memory", "anatomy", "anatomy", "anatomy"]
    assert_conserved(recorder.profile)
    assert recorder.profile.subject["prompt_tokens"] == 8
    assert recorder.profile.subject["new_tokens"] == 4
    assert recorder.profile.subject["batch_size"] == 1


def test_recorder_without_passes_records_the_block_once(tiny_pipeline: Any, tmp_path: Path) -> None:
    model, ids = tiny_pipeline.model, torch.arange(1, 9).reshape(1, 8)
    with llmflame.Recorder(model, tmp_path / "a.llmflame") as recorder:
        model.generate(ids, max_new_tokens=4, do_sample=False)
    profile = recorder.profile
    assert profile.windows == ()
    assert [step.name for step in decode_steps(profile)] == [STEP] * 3
    assert_conserved(profile)


def test_generations_of_one_block_are_requests_of_their_own(tiny_pipeline: Any, tmp_path: Path) -> None:
    """A second prompt's prefill was once taken for a decode step of the first."""
    model, ids = tiny_pipeline.model, torch.arange(1, 9).reshape(1, 8)
    with llmflame.Recorder(model, tmp_path / "a.llmflame") as recorder:
        model.generate(ids, max_new_tokens=4, do_sample=False)
        model.generate(ids[:, :5], max_new_tokens=3, do_sample=False)
    profile = recorder.profile
    assert [s.step for s in decode_steps(profile, repetition=0)] == [1, 2, 3]
    assert [s.kv_tokens for s in decode_steps(profile, repetition=1)] == [5, 6]
    assert_conserved(profile)


def test_a_live_model_has_its_dtype_and_device(tiny_pipeline: Any) -> None:
    with pytest.raises(UsageError, match="dtype"):
        llmflame.profile(tiny_pipeline, PROMPT, dtype="bfloat16")


def test_an_old_profile_stays_until_the_new_one_is_whole(tiny_pipeline: Any, tmp_path: Path) -> None:
    output = tmp_path / "a.llmflame"
    llmflame.profile(tiny_pipeline, PROMPT, new_tokens=2, repetitions=1, output=output)
    with llmflame.Recorder(tiny_pipeline.model, output, force=True):
        assert llmflame.open(output).run.status == "complete"
    assert [path.name for path in tmp_path.iterdir()] == ["a.llmflame"]


def test_the_programs_exception_passes_through_unchanged(tiny_pipeline: Any, tmp_path: Path) -> None:
    class Mine(Exception):
        pass

    output = tmp_path / "a.llmflame"
    with pytest.raises(Mine), llmflame.Recorder(tiny_pipeline.model, output) as recorder:
        for _ in recorder.passes():
            raise Mine("oh")
    profile = llmflame.open(output)
    assert (profile.run.status, profile.run.reason) == ("failed", "Mine: oh")
    assert hooks_of(tiny_pipeline.model) == 0


def test_leaving_the_loop_early_leaves_no_hook(tiny_pipeline: Any, tmp_path: Path) -> None:
    model, ids = tiny_pipeline.model, torch.arange(1, 9).reshape(1, 8)
    with llmflame.Recorder(model, tmp_path / "a.llmflame") as recorder:
        for name in recorder.passes():
            model.generate(ids, max_new_tokens=3, do_sample=False)
            if name == "clean":
                break
    assert hooks_of(model) == 0
    assert recorder.profile.run.status == "partial"
    assert "passes()" in (recorder.profile.run.reason or "")


def test_an_existing_file_is_not_overwritten(tiny_pipeline: Any, tmp_path: Path) -> None:
    output = tmp_path / "a.llmflame"
    output.write_text("precious")
    with pytest.raises(UsageError, match="exists"), llmflame.Recorder(tiny_pipeline.model, output):
        pass
    assert output.read_text() == "precious"


def test_op_counts_of_a_traced_step_are_torch_profilers_own(tiny_pipeline: Any, tmp_path: Path) -> None:
    """The same decode step under torch's own profiler, counted from its flat event list."""
    model, ids = tiny_pipeline.model, torch.arange(1, 9).reshape(1, 8)
    with llmflame.Recorder(model, tmp_path / "a.llmflame", repetitions=1) as recorder:
        for _ in recorder.passes():
            model.generate(ids, max_new_tokens=4, do_sample=False)
    profile = recorder.profile
    window = next(w for w in profile.windows if w.kind == "traced" and w.step == 1)
    calls = next(number for number, metric in profile.metrics.items() if metric.name == "calls")
    ours: Counter[str] = Counter()
    for cell in profile.cells:
        frame = profile.frames[profile.nodes[cell.node].frame]
        if cell.window == window.id and cell.metric == calls and frame.kind == "op":
            ours[frame.name] += int(cell.value)
    assert ours == _flat_counts(model, ids, step=1)


def _flat_counts(model: Any, ids: torch.Tensor, step: int) -> Counter[str]:
    """Operators from one call of the model to the next, by torch.profiler without stacks."""
    seen = {"calls": 0}
    counts: Counter[str] = Counter()
    state: dict[str, Any] = {}

    def before(*_: Any) -> None:
        index, seen["calls"] = seen["calls"], seen["calls"] + 1
        if "profiler" in state:
            profiler = state.pop("profiler")
            profiler.__exit__(None, None, None)
            counts.update(
                event.name()
                for event in profiler.profiler.kineto_results.events()
                if event.name().startswith("aten::")
            )
        if index == step:
            state["profiler"] = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
            state["profiler"].__enter__()

    handle = model.register_forward_pre_hook(before)
    model.generate(ids, max_new_tokens=4, do_sample=False)
    handle.remove()
    return counts

"""The run's tree where a GPU worked: wall, host and idle time of each phase add up to what was measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmflame.analysis.coverage import phases_of
from llmflame.analysis.phases import phase_spans
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.tree import Tree, host_metric
from llmflame.analysis.windows import clean_ns
from llmflame.store.observed import FrameKey
from llmflame.store.rows import Row
from tests.gpu_script import CALL, LATENCY, US, Script

from .gpu import on_gpu
from .small import anchor, by_path, cost, module, op, python, span, stored, window
from .test_run_tree import check_tree

SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
ROOT = module("")
LAYER = module("model.layers.0")


def by_phase(tree: Tree, metric: str) -> dict[str, float]:
    sums: dict[str, float] = {}
    for phase, own in zip(phases_of(tree), tree.selfs[metric], strict=True):
        sums[phase] = sums.get(phase, 0.0) + own
    return sums


@st.composite
def scripts(draw: st.DrawFn) -> Script:
    """Steps with Python, asynchronous launches on two streams, waits and copies that hold the host."""
    script = Script()
    paths: list[tuple[FrameKey, ...]] = [(SAMPLE,), (SAMPLE, ROOT, op("aten::mm")), (SAMPLE, ROOT, LAYER)]
    for _ in range(draw(st.integers(2, 12))):
        path = draw(st.sampled_from(paths))
        what = draw(st.sampled_from(["host", "launch", "launch", "copy", "wait"]))
        ns = draw(st.integers(1, 80)) * US
        if what == "host":
            script.host(ns, *path)
        elif what == "launch":
            script.launch(
                f"kernel {draw(st.integers(0, 2))}", ns, *path, stream=draw(st.sampled_from([7, 8]))
            )
        elif what == "copy":
            script.copy("Memcpy HtoD (Pageable -> Device)", ns, 1 << 20, *path, holds_ns=US)
        else:
            script.wait(*path, after_ns=2 * US)
    script.launch("last", US, SAMPLE)
    return script


@settings(max_examples=40)
@given(
    scripts(),
    scripts(),
    st.sampled_from([0.3, 0.7, 1.0, 1.6]),
    st.sampled_from([0.0, 500.0]),
    st.booleans(),
)
def test_every_phase_takes_what_was_measured(
    decode: Script, prefill: Script, speed: float, cost_ns: float, anchored: bool
) -> None:
    """Whatever tracing did to the step, and whether or not its modules were timed apart."""
    step_ns = max(round(decode.now * speed), 1)
    rows: list[Row] = [*cost("python", cost_ns, cost_ns), *cost("op", cost_ns, 0.0)]
    if anchored:
        where = {"pass_name": "anatomy", "repetition": 1, "treatment": "anchored"}
        rows.append(span("step", step_ns, 900, step=2, thread_cpu_ns=step_ns // 2, **where))
        rows += [
            anchor("", 2, step_ns // 4, repetition=1),
            anchor("model.layers.0", 2, step_ns // 3, repetition=1),
        ]
    profile = on_gpu(
        decode,
        prefill=prefill,
        step_ns=step_ns,
        steps=5,
        rows=rows,
        around={"tokenize": 50 * US},
        gap_ns=7 * US,
    )
    run = build_run_tree(profile)
    tree = run.tree
    check_tree(tree)
    measured = {one.name: float(one.wall_ns) for one in phase_spans(profile)} | {"run": 7 * US}
    assert by_phase(tree, "wall_ns") == pytest.approx(measured)
    assert by_phase(tree, "host_ns") == pytest.approx(measured)
    for node in range(len(tree)):
        idle, wall = tree.selfs["gpu_idle_ns"][node], tree.selfs["wall_ns"][node]
        assert -1e-6 <= idle <= wall + 1e-3
        kind = tree.frame(node).kind
        if kind in ("kernel", "copy"):
            assert not idle and not tree.selfs["host_ns"][node]
        else:
            assert wall == pytest.approx(idle, abs=1e-3) or tree.frame(node).name == "unattributed"
    assert host_metric(tree) == "host_ns"


def _step() -> Script:
    """20 of Python, a kernel of 100 from 25 on, 10 of Python, and the wait for it: 127 in all."""
    script = Script()
    script.host(20 * US, SAMPLE)
    script.launch("gemm", 100 * US, SAMPLE, ROOT, op("aten::mm"))
    script.host(10 * US, SAMPLE, ROOT)
    script.wait(SAMPLE, after_ns=2 * US)
    return script


def test_wall_is_the_kernels_while_they_run_and_the_hosts_else() -> None:
    script = _step()
    assert script.now == (20 + 5 + 100 + 2) * US
    tree = build_run_tree(on_gpu(script, steps=10)).tree
    decode = {
        name.removeprefix("decode/"): value / US / 10
        for name, value in by_path(tree, "wall_ns").items()
        if name.startswith("decode/")
    }
    launch = "_sample/Module/aten::mm/cudaLaunchKernel"
    assert decode == pytest.approx(
        {
            "_sample": 20,
            launch: 4,
            "_sample/Module": 1,  # between the call's return and the kernel's start
            f"{launch}/gemm": 100,
            "_sample/cudaStreamSynchronize/waiting for GPU": 2,
        }
    )
    host = by_path(tree, "host_ns")
    assert host["decode/_sample/Module"] / US / 10 == pytest.approx(10)
    assert host["decode/_sample/cudaStreamSynchronize/waiting for GPU"] / US / 10 == pytest.approx(93)
    assert by_path(tree, "device_ns")[f"decode/{launch}/gemm"] / US == pytest.approx(1000)


def test_a_host_that_tracing_slowed_down_waits_for_longer_undisturbed() -> None:
    """Python took 20 + 10 in the trace, and its 40 calls cost 0.5 each. What is left of it undisturbed is 10;
    the kernel starts sooner, and the host waits longer for it."""
    script = Script()
    script.host(20 * US, SAMPLE, calls=40)
    script.launch("gemm", 100 * US, SAMPLE, op("aten::mm"))
    script.host(10 * US, SAMPLE, calls=0)
    script.wait(SAMPLE, after_ns=2 * US)
    assert script.now == 127 * US
    # A third of 20 is left before the launch: 6.67 + 5 + 100 + 2.
    undisturbed = round((20 / 3 + 107) * US)
    rows = cost("python", 500.0, 0.0)
    tree = build_run_tree(on_gpu(script, steps=10, step_ns=undisturbed, rows=rows)).tree
    host = {name: value / US / 10 for name, value in by_path(tree, "host_ns").items()}
    assert host["decode/_sample"] == pytest.approx(10, rel=1e-3)
    assert host["decode/_sample/aten::mm/cudaLaunchKernel"] == pytest.approx(4, rel=1e-3)
    waiting = host["decode/_sample/cudaStreamSynchronize/waiting for GPU"]
    assert waiting == pytest.approx(107 + 20 / 3 - 14, rel=1e-3)
    wall = by_path(tree, "wall_ns")
    kernel = wall["decode/_sample/aten::mm/cudaLaunchKernel/gemm"] / US / 10
    assert kernel == pytest.approx(100, rel=1e-3)


def test_a_phase_that_asked_nothing_of_the_gpu_let_it_idle() -> None:
    tokenise = Script()
    tokenise.host(30 * US, python("encode", "tokenizers/x.py"))
    profile = on_gpu(_step(), others={"tokenize": tokenise})
    tree = build_run_tree(profile).tree
    for metric in ("wall_ns", "host_ns", "gpu_idle_ns"):
        assert by_path(tree, metric)["tokenize/encode"] == pytest.approx(30 * US)


def test_device_time_that_ends_after_the_step_is_told() -> None:
    script = Script()
    script.host(50 * US, SAMPLE)
    script.launch("gemm", 100 * US, SAMPLE)
    run = build_run_tree(on_gpu(script, steps=10))
    beyond = {phase.span.name: phase.beyond_ns / US for phase in run.phases}
    # 54 long; the kernel runs from 55 to 155.
    assert beyond == pytest.approx({"prefill": 100, "decode": 1000})
    assert sum(by_path(run.tree, "wall_ns").values()) == pytest.approx(54 * 11 * US)


def test_a_blocking_copy_counts_as_waiting() -> None:
    script = Script()
    script.host(10 * US, SAMPLE)
    script.copy("Memcpy HtoD (Pageable -> Device)", 50 * US, 1 << 20, SAMPLE, holds_ns=US)
    run = build_run_tree(on_gpu(script))
    (window_,) = run.phases[-1].windows
    assert window_.timeline is not None
    piece = window_.timeline.slices[1]
    # The call's return after the copy is its own, and not a part of what the device makes it wait.
    assert (piece.host_ns, piece.bound_ns) == pytest.approx((LATENCY, 51 * US), abs=US)
    assert piece.waits_for == (0,) and CALL < LATENCY


def test_a_sampled_phase_has_host_time_and_no_idle_time() -> None:
    """Of a load nobody knows what the GPU did."""
    load = Script()
    load.host(100, python("load"))
    sampled = replace(window(1, "load", 100), pass_name="clean", kind="sampled")
    base = on_gpu(_step())
    step = _step()
    profile = stored(
        [*base.spans, span("load", 300, 1)],
        [(sampled, load.tree), (window(1001, "decode", step.now, 1), step.tree)],
    )
    tree = build_run_tree(profile).tree
    assert by_path(tree, "wall_ns")["load/load"] == by_path(tree, "host_ns")["load/load"] == 300
    assert "load/load" not in by_path(tree, "gpu_idle_ns")


def test_a_windows_undisturbed_time_is_the_median_of_the_steps_around_it() -> None:
    profile = on_gpu(_step(), steps=10)
    spans = [
        replace(one, wall_ns=1000 + 100 * one.step) if one.name == "step" and one.step else one
        for one in profile.spans
    ]
    profile = replace(profile, spans=tuple(spans))
    decode = next(one for one in phase_spans(profile) if one.name == "decode")
    assert clean_ns(profile, decode, window(1, "decode", 5, 4)) == 1400
    assert clean_ns(profile, decode, window(1, "decode", 5, 1)) == 1200
    assert clean_ns(profile, decode, window(1, "decode", 5, 99)) == decode.wall_ns

"""The rules about stalls: a run in which each fires with a gain worked out by hand, and one that is well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from llmflame.analysis.findings import Finding, find
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.model import Fact
from llmflame.store.rows import Row, StallKernelRow, StallRow, WindowRow
from tests.gpu_script import US, Script

from .gpu import fact, on_gpu
from .small import module, op, python

MM = (
    python("_sample", "transformers/generation/utils.py", 312),
    module("", "Llama"),
    module("model.layers.4.mlp", "MLP"),
    op("aten::mm"),
)
STEPS = 10
ALL = STEPS + 1
STEP_US = 1_020
"""15 us of the host, 5 until the kernel begins, 1 ms of the kernel."""
CEILINGS = (
    fact("ceilings", "measured device", "cuda:0"),
    fact("ceilings", "device copy", 4e12),
    fact("ceilings", "device matmul bfloat16", 800e12),
)
WAITS = {"long_scoreboard": (800, 700), "selected": (200, 0)}
BUSY = {"not_selected": (900, 0), "selected": (90, 0), "wait": (10, 5)}


def step(*, moved: float = 1.2e9, known: bool = True) -> Script:
    """One product of a millisecond; 4 GB would be what the memory can move in it."""
    script = Script()
    script.host(15 * US, *MM)
    script.launch("gemm", 1_000 * US, *MM)
    if known:
        script.work(*MM, flops=1_000_000, read=round(moved))
    script.wait(MM[0])
    return script


def sampled(reasons: Mapping[str, tuple[int, int]]) -> Iterable[Row]:
    yield StallKernelRow("stalls", 1, "gemm", "gemm", "1")
    for number, phase in enumerate(("prefill", "decode"), start=2001):
        yield WindowRow("stalls", number, "stalls", phase, None, 1, 1_000, None, 0)
        for reason, (samples, lost) in reasons.items():
            yield StallRow("stalls", number, 1, 0, None, reason, samples, lost)


def findings(
    script: Script, reasons: Mapping[str, tuple[int, int]] | None, facts: Iterable[Fact] = CEILINGS
) -> dict[str, Finding]:
    rows = [] if reasons is None else list(sampled(reasons))
    profile = on_gpu(script, steps=STEPS, rows=rows, facts=facts)
    return {one.name: one for one in find(profile, build_run_tree(profile))}


@pytest.mark.parametrize(
    ("reasons", "words", "change"),
    [
        (
            WAITS,
            "70.0 % lost to long_scoreboard (device memory); 30.0 % of the memory's bandwidth, latency bound",
            "more loads in flight",
        ),
        (
            BUSY,
            "issues in 99.5 % of its samples; 30.0 % of the memory's bandwidth, issue bound",
            "Fewer instructions",
        ),
    ],
)
def test_a_kernel_near_no_ceiling(reasons: Mapping[str, tuple[int, int]], words: str, change: str) -> None:
    """At its floor the product takes 300 of its 1,000 us."""
    found = findings(step(), reasons)["stalls-against-roofline"]
    assert found.gain_ns / US == pytest.approx(700 * ALL, rel=3e-3)
    assert found.gain_share == pytest.approx(700 / STEP_US, rel=3e-3)
    assert found.evidence[0] == f"decode › gemm: 10.0 ms, {words}"
    assert change in found.change
    assert found.frames[0] == "decode › model.layers.*.mlp › aten::mm"


def test_a_kernel_at_the_ceiling_is_as_it_should_be() -> None:
    assert not findings(step(moved=3.2e9), WAITS).keys() & {"stalls-against-roofline", "dominant-stall"}


def test_without_samples_nothing_is_said() -> None:
    assert not findings(step(), None).keys() & {"stalls-against-roofline", "dominant-stall"}
    assert not findings(step(), {"wait": (9, 9)}).keys() & {"stalls-against-roofline", "dominant-stall"}


@pytest.mark.parametrize("known", [True, False])
def test_where_no_ceiling_tells_the_samples_do(known: bool) -> None:
    """Without the 700 of 1,000 samples that are lost to one reason 300 us are left."""
    found = findings(step(known=known), WAITS, () if known else CEILINGS)
    assert "stalls-against-roofline" not in found
    one = found["dominant-stall"]
    assert one.gain_ns / US == pytest.approx(700 * ALL, rel=3e-3)
    assert one.evidence[0] == "decode › gemm: 10.0 ms, 70.0 % lost to long_scoreboard (device memory)"
    assert one.change.startswith("Fewer bytes or more of them in flight")


def test_a_busy_scheduler_loses_nothing_to_speak_of() -> None:
    assert "dominant-stall" not in findings(step(known=False), BUSY)


def test_a_kernel_that_the_host_hides_gains_nothing() -> None:
    """The host takes longer than the device: a faster kernel shortens no step."""
    script = Script()
    script.host(15 * US, *MM)
    script.launch("gemm", 100 * US, *MM)
    script.work(*MM, flops=1_000, read=1_000_000)
    script.host(3_000 * US, *MM)
    script.wait(MM[0])
    assert "stalls-against-roofline" not in findings(script, WAITS)

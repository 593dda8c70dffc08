"""Each rule about a GPU: a run in which it fires with the gain that a calculation by hand gives, and one that
is nearly the same and well."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from llmflame.analysis.findings import Finding, find
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.observed import FrameKey
from llmflame.store.profile import Profile
from llmflame.store.writer import Scalar
from tests.gpu_script import US, Script

from .gpu import fact, on_gpu
from .small import module, op, python

SAMPLE = python("_sample", "transformers/generation/utils.py", 312)
ROOT = module("", "Llama")
LAYER = module("model.layers.4.mlp", "MLP")
MM = (SAMPLE, ROOT, LAYER, op("aten::mm"))
STEPS = 10
ALL = STEPS + 1
"""Decode steps and the prefill, which is like them."""


def findings(profile: Profile) -> dict[str, Finding]:
    return {one.name: one for one in find(profile, build_run_tree(profile))}


def check(found: Finding, gain_us: float, whole_us: float) -> None:
    """`gain_us` of a request of `whole_us`."""
    assert found.scope == "request"
    assert found.gain_ns / US == pytest.approx(gain_us, rel=3e-3)
    assert found.gain_share == pytest.approx(gain_us / whole_us, rel=3e-3)


def _launches(*, blocking: bool) -> Script:
    script = Script()
    for _ in range(10):
        script.host(15 * US, *MM)
        script.launch("gemm", 100 * US, *MM, holds_ns=0 if blocking else None)
    script.wait(SAMPLE)
    return script


def test_launches_that_block() -> None:
    """Ten times 15 + 5 + 100. Without the waits the kernels stand in a row after the first 20: 1,020."""
    setting = fact("threads", "CUDA_LAUNCH_BLOCKING", "1")
    found = findings(on_gpu(_launches(blocking=True), facts=[setting]))
    check(found["blocking-launches"], (1200 - 1020) * ALL, 1200 * ALL)
    assert found["blocking-launches"].evidence == (
        "CUDA_LAUNCH_BLOCKING is set in the environment",
        f"launches hold {105 * 10 * ALL / 1000:.1f} ms of the host's time in prefill and decode",
    )
    assert found["blocking-launches"].frames == (
        "decode › model.layers.*.mlp › aten::mm",
        "prefill › model.layers.*.mlp › aten::mm",
    )


@pytest.mark.parametrize("value", [None, "0", ""])
def test_launches_that_don_t_block(value: str | None) -> None:
    facts = [] if value is None else [fact("threads", "CUDA_LAUNCH_BLOCKING", value)]
    assert "blocking-launches" not in findings(on_gpu(_launches(blocking=False), facts=facts))


def _offloaded(*, size: int) -> Script:
    """A hook of accelerate brings the weights; the module's own forward runs below the same file."""
    script = Script()
    hooked = (SAMPLE, ROOT, LAYER, python("new_forward", "accelerate/hooks.py", 192))
    before = (*hooked, python("pre_forward", "accelerate/hooks.py", 359))
    script.host(10 * US, *before)
    if size:
        script.copy("Memcpy HtoD (Pageable -> Device)", 500 * US, size, *before, holds_ns=0)
    script.host(10 * US, *hooked, python("forward", "transformers/models/x.py"))
    script.launch("gemm", 100 * US, *hooked, op("aten::mm"))
    script.wait(SAMPLE)
    return script


def test_layers_that_are_brought_for_each_step() -> None:
    """10 + 505 for the weights, 10 of Python, and the kernel from 530 to 630. With the weights there, the
    kernel still runs: from 15 to 115."""
    found = findings(on_gpu(_offloaded(size=16 << 20)))
    check(found["offloaded-layers"], (630 - 115) * ALL, 630 * ALL)
    assert found["offloaded-layers"].evidence == ("176 MiB to the device in a request, 5.50 ms of copies",)
    assert "pageable-copies" not in found


def test_layers_that_stay() -> None:
    assert "offloaded-layers" not in findings(on_gpu(_offloaded(size=0)))
    assert "offloaded-layers" not in findings(on_gpu(_offloaded(size=64)))


def _copying(name: str, *, holds_ns: int | None, size: int = 4 << 20) -> Script:
    script = Script()
    script.host(10 * US, SAMPLE, ROOT)
    script.copy(name, 400 * US, size, SAMPLE, ROOT, op("aten::copy_"), holds_ns=holds_ns)
    script.launch("gemm", 100 * US, *MM)
    script.wait(SAMPLE)
    return script


def test_pageable_copies() -> None:
    """10 of Python, 405 in the copy's call, and a kernel from 420 to 520; without the copy from 15 to 115."""
    pinned = fact("ceilings", "host to device pinned", 55e9)
    script = _copying("Memcpy HtoD (Pageable -> Device)", holds_ns=0)
    found = findings(on_gpu(script, facts=[pinned]))["pageable-copies"]
    check(found, (520 - 115) * ALL, 520 * ALL)
    # 11 x 4 MiB in 11 x 400 µs.
    assert found.evidence[0] == "44 MiB in 4.40 ms, 10.5 GB/s; pinned memory reaches 55.0 GB/s here"
    without = findings(on_gpu(script))["pageable-copies"]
    assert without.evidence[0] == "44 MiB in 4.40 ms, 10.5 GB/s"


def test_pinned_copies_and_small_ones() -> None:
    pinned = _copying("Memcpy HtoD (Pinned -> Device)", holds_ns=None)
    assert "pageable-copies" not in findings(on_gpu(pinned))
    token = _copying("Memcpy HtoD (Pageable -> Device)", holds_ns=0, size=64)
    assert "pageable-copies" not in findings(on_gpu(token))


def _reading_back(*where: FrameKey, times: int = 5) -> Script:
    script = Script()
    for number in range(5):
        script.host(20 * US, *MM)
        script.launch("gemm", 30 * US, *MM)
        if number >= 5 - times:
            script.host(6 * US, *where, op("aten::item"))
            script.wait(*where, op("aten::item"))
    return script


def test_values_read_back_inside_the_model() -> None:
    """Five times 20 + 5 + 30. Without: launches every 24, kernels in a row from 25 on: 175."""
    script = _reading_back(SAMPLE, ROOT, LAYER)
    assert script.now == 275 * US
    found = findings(on_gpu(script))["waits-in-the-model"]
    check(found, (275 - 175) * ALL, 275 * ALL)
    assert found.evidence[0].startswith(
        f"{5 * ALL} waits in modules in a request, 1.38 ms of the host's time"
    )


def test_values_read_back_outside_of_it() -> None:
    script = _reading_back(SAMPLE, times=1)
    assert "waits-in-the-model" not in findings(on_gpu(script))


RATES = (
    fact("gpu 0", "name", "x"),
    fact("ceilings", "device read", 1e12),
    fact("ceilings", "device matmul float32", 50e12),
    fact("ceilings", "device matmul bfloat16", 600e12),
)
WIDE: dict[str, Scalar] = {
    "dtype": "float32",
    "checkpoint_dtype": "bfloat16",
    "weights_in_memory_bytes": 4 << 30,
}


def _product(flops: int) -> Script:
    script = Script()
    script.host(10 * US, *MM)
    script.launch("gemm", 1000 * US, *MM)
    script.launch("add", 100 * US, SAMPLE, ROOT, op("aten::add"))
    script.wait(SAMPLE)
    script.work(*MM, read=10**9, flops=flops)
    return script


@pytest.mark.parametrize(
    ("flops", "left"),
    [
        # Bound by memory: half of 1 GB takes half a millisecond.
        (10**9, 0.5),
        # Bound by arithmetic: 540 GFLOP take 0.9 ms at 600 TFLOP/s.
        (54 * 10**10, 0.9),
    ],
)
def test_weights_wider_than_the_checkpoints(flops: int, left: float) -> None:
    """15 + 1000 + 100 a step. The product could come down to its floor; what isn't one moves half as much."""
    found = findings(on_gpu(_product(flops), facts=RATES, subject=WIDE))["wide-weights"]
    check(found, (1115 - (15 + left * 1000 + 50)) * ALL, 1115 * ALL)
    assert found.evidence == ("4 GiB of weights in memory, half of it would do",)
    assert found.change == "Load with dtype='bfloat16' (or dtype='auto')" and found.variant == "bf16"


@pytest.mark.parametrize(
    "subject",
    [
        WIDE | {"dtype": "bfloat16"},
        WIDE | {"checkpoint_dtype": "float32"},
        WIDE | {"checkpoint_dtype": None},
    ],
)
def test_weights_as_wide_as_the_checkpoints(subject: dict[str, Scalar]) -> None:
    assert "wide-weights" not in findings(on_gpu(_product(10**9), facts=RATES, subject=subject))


def _token(kernel_us: int) -> Script:
    script = Script()
    script.host(15 * US, SAMPLE)
    script.launch("gemm", kernel_us * US, *MM)
    script.wait(SAMPLE, op("aten::item"))
    return script


def test_the_wait_for_each_token() -> None:
    """15 + 5 + 100. Run ahead, decoding is as fast as the kernel; the prefill has no step before it."""
    found = findings(on_gpu(_token(100)))
    check(found["wait-for-each-token"], 20 * STEPS, 120 * ALL)
    assert "200 µs in a request, 16.7 % of decoding" in found["wait-for-each-token"].evidence[0]
    assert found["wait-for-each-token"].frames == ("decode › aten::item", "prefill › aten::item")
    assert "launch-bound" not in found, "less than a fifth of the time"


def test_a_device_that_hardly_notices_the_wait() -> None:
    assert findings(on_gpu(_token(1000))) == {}


def _many(kernel_us: int) -> Script:
    script = Script()
    for _ in range(10):
        script.host(30 * US, *MM)
        script.launch("gemm", kernel_us * US, *MM)
    script.wait(SAMPLE)
    return script


def test_a_launch_bound_step() -> None:
    """Ten times 34, and the last kernel from 341 to 346. With a host that takes no time: 5 + 10 x 5."""
    script = _many(5)
    assert script.now == 346 * US
    found = findings(on_gpu(script))
    assert list(found) == ["launch-bound"]
    check(found["launch-bound"], (346 - 55) * ALL, 346 * ALL)
    assert found["launch-bound"].evidence[1] == "10 kernels a decode step"


def test_a_step_whose_kernels_are_longer_than_their_launches() -> None:
    assert "launch-bound" not in findings(on_gpu(_many(40)))


def test_what_is_general_counts_what_the_particular_leaves() -> None:
    """Reading back inside of the model holds launches up: of the step of 275 that is 100. What is left, the
    20 before the first kernel, is no fifth of the step."""
    found = findings(on_gpu(_reading_back(SAMPLE, ROOT, LAYER)))
    check(found["waits-in-the-model"], 100 * ALL, 275 * ALL)
    assert "launch-bound" not in found


def test_a_healthy_run_on_a_gpu_has_no_finding() -> None:
    """Python far ahead of the kernels, one short wait a step, the checkpoint's precision."""
    script = Script()
    for _ in range(20):
        script.host(20 * US, *MM)
        script.launch("gemm", 100 * US, *MM)
    script.copy("Memcpy DtoH (Device -> Pinned)", 2 * US, 8, SAMPLE, op("aten::item"))
    script.wait(SAMPLE, op("aten::item"), after_ns=3 * US)
    profile = on_gpu(
        script,
        facts=RATES,
        subject={"checkpoint_dtype": "bfloat16"},
        around={"tokenize": 50 * US, "prepare": 100 * US, "detokenize": 50 * US},
    )
    assert findings(profile) == {}


SICK: tuple[Callable[[], Script], ...] = (
    lambda: _launches(blocking=True),
    lambda: _offloaded(size=16 << 20),
    lambda: _copying("Memcpy HtoD (Pageable -> Device)", holds_ns=0),
    lambda: _reading_back(SAMPLE, ROOT, LAYER),
    lambda: _product(10**9),
    lambda: _token(100),
    lambda: _many(5),
)


@pytest.mark.parametrize("made", SICK, ids=range(len(SICK)))
@pytest.mark.parametrize("speed", [0.4, 1.0, 1.7])
def test_gains_are_parts_of_the_request_and_come_in_order(made: Callable[[], Script], speed: float) -> None:
    script = made()
    setting = fact("threads", "CUDA_LAUNCH_BLOCKING", "1")
    step_ns = round(script.now * speed)
    profile = on_gpu(script, facts=[*RATES, setting], subject=WIDE, step_ns=step_ns)
    found = find(profile, build_run_tree(profile))
    whole = step_ns * STEPS + script.now
    shares = [one.gain_share for one in found]
    assert shares == sorted(shares, reverse=True)
    for one in found:
        assert 0.05 <= one.gain_share <= 1.0
        assert one.gain_ns == pytest.approx(one.gain_share * _request(profile)), whole
        assert one.title and one.change and one.evidence


def _request(profile: Profile) -> float:
    return float(next(span.wall_ns for span in profile.spans if span.name == "request"))

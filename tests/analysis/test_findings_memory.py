"""Each rule about memory: runs in which it fires with the bytes by hand, and those that are well."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import pytest
from rich.console import Console

from llmflame.analysis.findings import Finding, find
from llmflame.analysis.findings.memory_rules import (
    LAST_FRAMES,
    LEAST_GROWTH_BYTES,
    LEAST_LEFT_BYTES,
    MOST_STACKS,
)
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import finding_document
from llmflame.store import categories as c
from llmflame.store.observed import ObservedTree
from llmflame.store.profile import Profile
from llmflame.store.rows import Row, Space
from llmflame.views.findings import findings_view
from tests.handmade_memory import Held, gauge, moment

from .small import module, observed, op, python, request, span, stored, window
from .test_findings_cpu import BASE, WIDE, findings, on_cpu

MIB, KIB = 1 << 20, 1 << 10
MS = 1_000_000
STEPS = 8
"""Decode steps of the counted request, 10 ms each."""
IN_USE = {"host": "heap_bytes", "device": "device_allocated_bytes"}
FLOORS = {"host": "heap_floor_bytes", "device": "device_floor_bytes"}


def check(found: Finding, gain_bytes: float, peak_bytes: float | None) -> None:
    assert found.scope == "memory" and found.gain_ns == 0 and found.variant is None
    assert found.gain_bytes == pytest.approx(gain_bytes)
    assert found.gain_share == pytest.approx(gain_bytes / peak_bytes if peak_bytes else 0)


def at_peak(space: Space, peak_bytes: int, held: Held | None = None, reserved: int = 0) -> list[Row]:
    """A decode with its peak, and who held what when its last step began."""
    readings = {"device_used_bytes": reserved, "device_reserved_bytes": reserved} if space == "device" else {}
    peaks = {"peak_rss_bytes": peak_bytes} if space == "host" else {"device_peak_bytes": peak_bytes}
    return [
        span("request", 100 * MS, 900, repetition=0),
        span("decode", 100 * MS, 901, parent=900, repetition=0, **peaks),
        *moment(1, "memory", "decode", "begin", {space: held or {(c.WEIGHTS, "a"): peak_bytes}}, readings),
    ]


def steps_of(
    use: Callable[[int], float], cached: Callable[[int], float], space: Space = "host", steps: int = STEPS
) -> list[Row]:
    """A counted request: bytes in use and in the cache at each step's beginning."""
    rows: list[Row] = []
    for step in range(steps + 1):
        fields = {"step": step, "start_ns": step * 10 * MS, "pass_name": "memory", "treatment": "counted"}
        rows.append(span("step", 10 * MS, 20 + step, parent=19, repetition=0, **fields))
        rows += gauge("memory", IN_USE[space], (step * 10, use(step)))
        rows += gauge("memory", "kv_cache_bytes", (step * 10, cached(step)))
        if space == "device":
            rows += gauge("memory", "device_reserved_bytes", (step * 10, use(step)))
            rows += gauge("memory", "heap_bytes", (step * 10, 50 * MIB))
    return rows


def floors(*values: float, space: Space = "host") -> list[Row]:
    """What was in use after each clean request."""
    return [
        row for number, value in enumerate(values) for row in gauge("clean", FLOORS[space], (number, value))
    ]


def only(profile: Profile, name: str) -> Finding:
    found = findings(profile)
    assert set(found) == {name}
    return found[name]


# --- what grows with each step ---------------------------------------------------------------------------


def leaking(step: int) -> float:
    return 100 * MIB + step * 96 * KIB


def cache_of(step: int) -> float:
    return step * 32 * KIB


def test_each_step_holds_on_to_more_than_the_cache() -> None:
    """96 KiB a step, 32 of them the cache's: 64 KiB in each of 8 steps."""
    found = only(stored([*steps_of(leaking, cache_of), *at_peak("host", 10 * MIB)]), "memory-grows-each-step")
    check(found, 8 * 64 * KIB, 10 * MIB)
    assert found.evidence == (
        "host memory in use grows by 96 KiB a decode step, fitted over 8 steps (r² 1.000); "
        "the KV cache explains 32 KiB of it",
    )
    assert found.frames == ()


def test_a_device_is_told_by_its_own_growth() -> None:
    found = only(stored(steps_of(leaking, cache_of, "device")), "memory-grows-each-step")
    check(found, 8 * 64 * KIB, None)
    assert found.evidence[0].startswith("GPU memory in use grows by 96 KiB a decode step")


def left(*sizes: int) -> ObservedTree:
    path = (module("", "Model"), module("layers.1", "Layer"), python("remember", "app/history.py", 7))
    return observed(
        {(*path, op(f"aten::{number}")): {"left_bytes": size} for number, size in enumerate(sizes)}
    )


def test_what_outlives_the_request_is_told_with_its_frames() -> None:
    """Two traced decode steps: the mean of them; a prefill's is not a step's."""
    trees = [
        (window(1, "prefill", MS, 0), left(9 * MIB)),
        (window(2, "decode", MS, 1), left(64 * KIB, 8 * KIB)),
        (window(3, "decode", MS, 8), left(32 * KIB)),
    ]
    found = only(stored(steps_of(leaking, cache_of), trees), "memory-grows-each-step")
    assert found.evidence[1:] == ("traced steps left 52 KiB each in tensors that outlive the request",)
    assert found.frames == (
        "48 KiB  Layer (layers.1) › remember (app/history.py:7) › aten::0",
        "4 KiB  Layer (layers.1) › remember (app/history.py:7) › aten::1",
    )
    assert LAST_FRAMES == 3


def test_the_largest_few_stacks_are_told() -> None:
    trees = [(window(1, "decode", MS, 1), left(*range(1000, 20_000, 1000)))]
    assert (
        len(only(stored(steps_of(leaking, cache_of), trees), "memory-grows-each-step").frames) == MOST_STACKS
    )


def noisy(step: int) -> float:
    """It rises by 20 KiB a step, and by much more and less in between."""
    return 100 * MIB + step * 20 * KIB + (500 * KIB if step % 2 else 0)


@pytest.mark.parametrize(
    "rows",
    [
        steps_of(cache_of, cache_of),
        steps_of(lambda step: step * 32 * KIB + step * (LEAST_GROWTH_BYTES - 1), cache_of),
        steps_of(noisy, lambda _step: 0),
        steps_of(lambda _step: 100 * MIB, lambda _step: 0),
        steps_of(lambda step: 100 * MIB - step * 96 * KIB, lambda _step: 0),
        steps_of(leaking, cache_of, steps=3),
        steps_of(cache_of, cache_of, "device"),
        [],
    ],
    ids=[
        "the cache's",
        "a little",
        "unsteady",
        "nothing",
        "shrinking",
        "few steps",
        "a device",
        "not counted",
    ],
)
def test_steps_that_are_well(rows: list[Row]) -> None:
    assert findings(stored(rows)) == {}


def test_growth_of_exactly_the_least_is_told() -> None:
    rows = steps_of(lambda step: step * (32 * KIB + LEAST_GROWTH_BYTES), cache_of)
    check(only(stored(rows), "memory-grows-each-step"), 8 * LEAST_GROWTH_BYTES, None)


# --- what requests keep ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("space", "words"), [("host", "host"), ("device", "GPU")])
def test_each_request_leaves_more_behind(space: Space, words: str) -> None:
    """2, 5 and 3 MiB: at least 2 MiB each."""
    rows = [
        *floors(100 * MIB, 102 * MIB, 107 * MIB, 110 * MIB, space=space),
        *at_peak(space, 50 * MIB, reserved=50 * MIB),
    ]
    found = only(stored(rows), "memory-not-returned")
    check(found, 2 * MIB, 50 * MIB)
    assert found.evidence == (
        f"after each of 4 equal requests more {words} memory was in use: 2 MiB, 5 MiB, 3 MiB",
    )
    assert found.gain_share < 0.05, "it is told however little it is: it grows without end"


def test_what_requests_keep_is_told_with_its_frames() -> None:
    trees = [(window(1, "prefill", MS, 0), left(2 * MIB)), (window(2, "decode", MS, 1), left(MIB))]
    found = only(stored(floors(0, 4 * MIB, 8 * MIB), trees), "memory-not-returned")
    frames = "Layer (layers.1) › remember (app/history.py:7) › aten::0"
    assert found.frames == (f"3 MiB  {frames}",), "of prefill and of decode together"


def test_what_grows_with_each_step_is_not_told_again_for_each_request() -> None:
    """64 KiB in each of 9 forward calls are 576 KiB: of 1,600 KiB a request leaves 1 MiB beside them."""
    steps = steps_of(leaking, cache_of)
    rise = 9 * 64 * KIB
    both = findings(stored([*steps, *floors(0, rise + MIB, 2 * (rise + MIB))]))
    assert both["memory-not-returned"].gain_bytes == pytest.approx(MIB)
    assert set(findings(stored([*steps, *floors(0, rise + MIB - 1, 2 * (rise + MIB))]))) == {
        "memory-grows-each-step"
    }


@pytest.mark.parametrize(
    "values",
    [
        (100 * MIB, 100 * MIB, 100 * MIB),
        (100 * MIB, 120 * MIB, 120 * MIB),
        (100 * MIB, 100 * MIB + LEAST_LEFT_BYTES - 1, 200 * MIB),
        (100 * MIB, 90 * MIB, 120 * MIB),
        (100 * MIB,),
        (),
    ],
    ids=["level", "once", "a little", "up and down", "one request", "not read"],
)
@pytest.mark.parametrize("space", ["host", "device"])
def test_requests_that_give_all_back(values: tuple[float, ...], space: Space) -> None:
    assert findings(stored(floors(*values, space=space))) == {}


# --- what a load needs beyond running --------------------------------------------------------------------


def loaded(load: int, warmup: int, decode: int, *, pages: int = 30 * MIB) -> Profile:
    held: Held = {(c.CHECKPOINT, "read, but not held by a parameter"): pages, (c.WEIGHTS, "a"): 50 * MIB}
    return stored(
        [
            span("load", 100 * MS, 1, peak_rss_bytes=load),
            span("warmup", 100 * MS, 2, peak_rss_bytes=warmup),
            *moment(7, "clean", "load", "end", {"host": held}),
            *at_peak("host", decode, {(c.WEIGHTS, "a"): 50 * MIB}),
        ]
    )


@pytest.mark.parametrize(
    ("peaks", "phase", "gain"),
    [((160, 120, 100), "load", 60), ((120, 160, 100), "warmup", 60), ((160, 160, 152), "load", 8)],
)
def test_a_load_that_needs_more_than_running(peaks: tuple[int, int, int], phase: str, gain: int) -> None:
    load, warmup, decode = (size * MIB for size in peaks)
    found = only(loaded(load, warmup, decode), "load-needs-more-than-running")
    check(found, gain * MIB, 160 * MIB)
    assert found.evidence == (
        f"the peak of {phase} is 160 MiB, that of a request {peaks[2]} MiB",
        "30 MiB of it are the checkpoint's pages, which the kernel can take back",
    )


@pytest.mark.parametrize(
    ("load", "warmup", "decode"),
    [(100, 100, 160), (160, 100, 153), (160, 160, 160)],
    ids=["less", "5 %", "equal"],
)
def test_a_load_that_needs_no_more_or_hardly_more(load: int, warmup: int, decode: int) -> None:
    assert findings(loaded(load * MIB, warmup * MIB, decode * MIB)) == {}


def test_a_load_that_no_request_followed() -> None:
    held: dict[Space, Held] = {"host": {(c.WEIGHTS, "a"): MIB}}
    rows = [span("load", 100 * MS, 1, peak_rss_bytes=160 * MIB), *moment(1, "clean", "load", "end", held)]
    assert findings(stored(rows)) == {}


# --- what an allocator keeps -----------------------------------------------------------------------------


def test_an_allocator_that_keeps_what_nobody_uses() -> None:
    """60 MiB allocated at the peak of 80 reserved ones."""
    found = only(
        stored(at_peak("device", 60 * MIB, {(c.WEIGHTS, "a"): 60 * MIB}, reserved=80 * MIB)),
        "allocator-slack",
    )
    check(found, 20 * MIB, 80 * MIB)
    assert found.evidence == ("20 MiB of 80 MiB are reserved at the peak, not in use",)
    assert "expandable_segments" in found.change


@pytest.mark.parametrize("reserved", [60, 63], ids=["none", "5 %"])
def test_an_allocator_that_keeps_little(reserved: int) -> None:
    held: Held = {(c.WEIGHTS, "a"): 60 * MIB}
    assert findings(stored(at_peak("device", 60 * MIB, held, reserved=reserved * MIB))) == {}


def test_the_hosts_free_chunks_are_not_the_devices_allocators() -> None:
    held: Held = {(c.WEIGHTS, "a"): 30 * MIB, (c.SLACK, "the heap's free chunks"): 70 * MIB}
    assert findings(stored(at_peak("host", 100 * MIB, held))) == {}


# --- together --------------------------------------------------------------------------------------------


def sick(rows: Iterable[Row] = ()) -> Profile:
    """A request that reads wide weights, a leak of 512 KiB, and 40 MiB that each request keeps."""
    keeps = floors(0, 41 * MIB, 82 * MIB)
    return on_cpu(BASE, subject=WIDE, rows=[*steps_of(leaking, cache_of), *keeps, *rows])


def test_memory_comes_after_time_and_the_most_bytes_first() -> None:
    imports = span("import", 6 * 10**9, 2)
    profile = sick([imports])
    names = [one.name for one in find(profile, build_run_tree(profile))]
    assert names == ["wide-weights", "slow-imports", "memory-not-returned", "memory-grows-each-step"]


def test_a_document_says_the_bytes_and_the_view_their_share_of_the_peak() -> None:
    profile = stored(at_peak("device", 60 * MIB, {(c.WEIGHTS, "a"): 60 * MIB}, reserved=80 * MIB))
    document = finding_document(only(profile, "allocator-slack"))
    assert (document["scope"], document["gain_s"], document["gain_bytes"]) == ("memory", 0, 20 * MIB)
    assert isinstance(document["gain_bytes"], int) and document["gain_share"] == 0.25
    file = io.StringIO()
    Console(file=file, width=110).print(findings_view([document]))
    lines = file.getvalue().splitlines()
    assert lines[0].strip() == "1. The allocator keeps memory that no tensor uses  20 MiB, 25.0 % of the peak"
    assert lines[1].strip() == "· 20 MiB of 80 MiB are reserved at the peak, not in use"


def test_a_finding_about_time_has_no_bytes() -> None:
    documents = {one.name: finding_document(one) for one in findings(sick()).values()}
    assert documents["wide-weights"]["gain_bytes"] == 0 and documents["wide-weights"]["gain_s"] > 0
    assert documents["memory-grows-each-step"]["gain_bytes"] == 8 * 64 * KIB


def test_a_healthy_run_has_no_finding() -> None:
    rows = [*steps_of(cache_of, cache_of), *floors(MIB, MIB, MIB)]
    peaks = request({"prefill": 10 * MS, "decode": 100 * MS}, first=800)
    assert findings(stored([*rows, *peaks])) == {}

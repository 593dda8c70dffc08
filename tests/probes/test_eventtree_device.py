"""What the tracer says of a device, and whether its accounts agree with each other."""

from __future__ import annotations

import pytest

from llmflame.probes.charge import charge
from llmflame.probes.devicecalls import GRAPH_LAUNCHES, is_copy, is_launch, is_wait
from llmflame.probes.events import DeviceChecks, DeviceDetail
from tests.probes.native_events import MARKS, Listed, by_name, events_of, kineto, op, read


@pytest.mark.parametrize(
    ("name", "launches"),
    [
        ("cudaLaunchKernel", True),
        ("cudaLaunchKernelExC", True),
        ("cuLaunchKernelEx", True),
        ("cudaMemcpyAsync", True),
        ("cudaMemsetAsync", True),
        ("cudaGraphLaunch", True),
        ("cudaMemcpy", False),
        ("cudaMalloc", False),
        ("cudaGraphInstantiate", False),
    ],
)
def test_launches(name: str, launches: bool) -> None:
    assert is_launch(name) is launches


@pytest.mark.parametrize(
    ("name", "waits"),
    [("cudaStreamSynchronize", True), ("cudaStreamWaitEvent", False), ("cudaEventQuery", False)],
)
def test_waits(name: str, waits: bool) -> None:
    assert is_wait(name) is waits


def test_copies_are_told_by_name() -> None:
    assert is_copy("Memcpy DtoH (Device -> Pinned)") and is_copy("Memset (Device)")
    assert not is_copy("void at::native::memcpy_kernel(int)")


def test_launches_and_kernels() -> None:
    kernel = kineto("gemm", 130, 50, correlation=1)
    launch = kineto("cudaLaunchKernel", 120, 5, kernel, correlation=1)
    lost = kineto("cudaLaunchKernelExC", 140, 5, correlation=2)
    wait = kineto("cudaStreamSynchronize", 150, 5, correlation=3)
    trace = read(
        MARKS[0], op("aten::mm", 110, 40, launch, lost, wait), MARKS[1], listed=(Listed(kernel, stream=13),)
    )
    found = by_name(trace)
    assert found["gemm"].frame[0] == "kernel" and found["gemm"].on_device
    assert found["gemm"].device == DeviceDetail(stream=13)
    assert found["cudaLaunchKernel"].frame[0] == "runtime" and not found["cudaLaunchKernel"].on_device
    assert trace.lost_count == 1, "a launch without its work; a wait launches none"
    assert trace.checks == DeviceChecks(launches=2, works=1, listed=1, launches_without_work=1)


def test_copies_and_fills_are_a_kind_of_their_own() -> None:
    copy = kineto("Memcpy HtoD (Pageable -> Device)", 125, 5, correlation=1)
    fill = kineto("Memset (Device)", 135, 5, correlation=2)
    launches = [
        kineto("cudaMemcpyAsync", 120, 5, copy, correlation=1),
        kineto("cudaMemsetAsync", 131, 1, fill, correlation=2),
    ]
    listed = (Listed(copy, metadata='"bytes": 4096, "stream": 7'), Listed(fill, metadata='"bytes": 8'))
    trace = read(MARKS[0], *launches, MARKS[1], listed=listed)
    kinds = {event.frame[1]: event.frame[0] for event in events_of(trace) if event.on_device}
    assert set(kinds.values()) == {"copy"}
    tree = charge(trace)
    assert sum(tree.cells["copied_bytes"].values()) == 4104
    assert trace.checks.works == trace.checks.listed == 2


@pytest.mark.parametrize("name", ["cudaMemcpy", "cuMemcpyHtoD_v2", "cudaMemcpy2DAsync", "cuMemsetD32Async"])
def test_a_call_with_work_below_it_is_a_launch_whatever_its_name(name: str) -> None:
    """Their copies once counted as work that no call had launched."""
    copy = kineto("Memcpy HtoD (Pageable -> Device)", 125, 5, correlation=1)
    call = kineto(name, 120, 15, copy, correlation=1)
    trace = read(MARKS[0], call, MARKS[1], listed=(Listed(copy),))
    assert trace.checks == DeviceChecks(launches=1, works=1, listed=1)
    assert trace.lost_count == 0


@pytest.mark.parametrize("name", ["cudaMemcpy", "cudaStreamIsCapturing"])
def test_a_call_without_work_that_needs_none_lost_nothing(name: str) -> None:
    assert read(MARKS[0], kineto(name, 120, 5, correlation=1), MARKS[1]).checks == DeviceChecks()


@pytest.mark.parametrize("name", GRAPH_LAUNCHES)
def test_a_graphs_launch_says_so_and_has_many_kernels(name: str) -> None:
    kernels = [kineto("k", start, 5, correlation=9) for start in (130, 140, 150)]
    launch = kineto(name, 110, 10, *kernels, correlation=9)
    trace = read(MARKS[0], launch, MARKS[1], listed=tuple(Listed(kernel) for kernel in kernels))
    assert f"{name} [graph]" in by_name(trace)
    assert trace.checks == DeviceChecks(launches=1, works=3, listed=3)
    assert trace.lost_count == 0


def test_a_graphs_launch_without_any_kernel_is_lost() -> None:
    trace = read(MARKS[0], kineto("cudaGraphLaunch", 110, 10, correlation=9), MARKS[1])
    assert trace.checks.launches_without_work == trace.lost_count == 1


def test_work_whose_launch_the_tracer_lost() -> None:
    """It stands at the root, or below the operator that it is known to belong to."""
    orphan = kineto("orphan", 150, 10, correlation=5)
    linked = kineto("linked", 170, 10, correlation=6)
    trace = read(
        MARKS[0], op("aten::mm", 110, 30, linked), orphan, MARKS[1], listed=(Listed(orphan), Listed(linked))
    )
    assert trace.checks == DeviceChecks(work_without_launch=2)
    assert sum(charge(trace).cells["device_ns"].values()) == 20


def test_work_that_was_listed_but_hangs_nowhere_is_lost() -> None:
    kernel = kineto("gemm", 130, 10, correlation=1)
    gone = kineto("gone", 141, 10, correlation=1)
    launch = kineto("cudaLaunchKernel", 120, 5, kernel, correlation=1)
    trace = read(MARKS[0], launch, MARKS[1], listed=(Listed(kernel), Listed(gone)))
    assert (trace.checks.works, trace.checks.listed) == (1, 2)
    assert trace.lost_count == 1


def test_work_before_its_launch_tells_of_two_clocks() -> None:
    """A linear fit aligns them: a little too early is no disagreement."""
    works = [kineto(f"k{early}", 20_000 - early, 10, correlation=early) for early in (1000, 1001, 1500)]
    launches = [
        kineto("cudaLaunchKernel", 20_000, 5, work, correlation=work.correlation_id) for work in works
    ]
    closing = op(MARKS[1].name, 30_000, 10)
    trace = read(MARKS[0], *launches, closing, listed=tuple(map(Listed, works)))
    assert (trace.checks.early, trace.checks.skew_ns) == (2, 1500)


def test_the_prefix_before_the_opening_mark_is_not_counted() -> None:
    prefix = kineto("prefix", 60, 100, correlation=1)
    first = kineto("cudaLaunchKernel", 50, 5, prefix, correlation=1)
    lost = kineto("cudaLaunchKernel", 56, 5, correlation=2)
    orphan = kineto("orphan", 70, 5, correlation=3)
    mine = kineto("mine", 130, 10, correlation=4)
    launch = kineto("cudaLaunchKernel", 120, 5, mine, correlation=4)
    trace = read(
        first, lost, orphan, MARKS[0], launch, MARKS[1], listed=(Listed(prefix), Listed(orphan), Listed(mine))
    )
    assert trace.checks == DeviceChecks(launches=1, works=1, listed=1)
    assert trace.lost_count == 0
    assert sum(charge(trace).cells["device_ns"].values()) == 10


def test_one_correlation_may_be_an_operators_number_too() -> None:
    """Operators and work on a device are numbered apart."""
    kernel = kineto("gemm", 130, 10, correlation=1)
    launch = kineto("cudaLaunchKernel", 120, 5, kernel, correlation=1)
    listed = (Listed(op("aten::mm", 130, 30), device="DeviceType.CPU"), Listed(kernel))
    assert read(MARKS[0], launch, MARKS[1], listed=listed).checks.listed == 1


@pytest.mark.parametrize("name", ["Activity Buffer Request", "Buffer Flush", "Instrumentation", "Resource"])
@pytest.mark.parametrize("below", [True, False])
def test_the_tracers_own_work_is_its_own(name: str, below: bool) -> None:
    cost = kineto(name, 122, 20)
    call = kineto("cuLaunchKernelEx", 120, 30, *([cost] if below else []), correlation=3)
    trace = read(MARKS[0], call, *([] if below else [cost]), MARKS[1])
    assert by_name(trace)[name].is_own and not by_name(trace)[name].on_device


def test_what_the_driver_does_inside_a_call_is_no_work_of_the_device() -> None:
    """It was once taken for a kernel: whatever lay below a runtime call was."""
    loading = kineto("Lazy Function Loading", 122, 20)
    kernel = kineto("k", 170, 10, correlation=3)
    call = kineto("cuLaunchKernelEx", 120, 30, loading, kernel, correlation=3)
    trace = read(MARKS[0], call, MARKS[1], listed=(Listed(kernel),))
    assert by_name(trace)["Lazy Function Loading"].frame[0] == "runtime"
    assert sum(charge(trace).cells["device_ns"].values()) == 10

"""What a device did, who launched it, who waited for it, and what operators had to do."""

from __future__ import annotations

import pytest

from llmflame.probes.charge import OWN, WAITING, WORKER, charge
from llmflame.probes.events import DeviceDetail, OpWork, TraceEvent
from llmflame.store import metrics
from llmflame.store.observed import ObservedTree
from tests.probes.made_traces import CLOSE, MAIN, OPEN, event, named, own, trace, trace_of


def work(kind: str, name: str, start: int, end: int, detail: DeviceDetail | None) -> TraceEvent:
    made = event(kind, name, start, end)
    made.on_device, made.device = True, detail
    return made


def kernel(name: str, start: int, end: int, stream: int = 7, *, small: bool = False) -> TraceEvent:
    return work("kernel", name, start, end, DeviceDetail(stream, low_occupancy=small))


def copy(name: str, start: int, end: int, size: int) -> TraceEvent:
    return work("copy", name, start, end, DeviceDetail(7, bytes=size))


def called(name: str, start: int, end: int, *works: TraceEvent) -> TraceEvent:
    return event("runtime", name, start, end, *works)


def names(tree: ObservedTree, node: int) -> tuple[str, ...]:
    found: list[str] = []
    while node > 0:
        frame = tree.frames[node]
        assert frame is not None
        found.append(frame[1])
        node = tree.parents[node]
    return tuple(reversed(found))


def slices(tree: ObservedTree) -> list[tuple[tuple[str, ...], int]]:
    return [(names(tree, node), start) for node, start in tree.slices]


def test_slices_tell_what_the_host_did_when() -> None:
    launch = called("cudaLaunchKernel", 130, 140, kernel("gemm", 150, 180))
    tree = charge(trace(event("python", "f", 110, 190, event("op", "mm", 120, 150, launch))))
    assert slices(tree) == [
        (("unattributed",), 0),
        (("f",), 10),
        (("f", "mm"), 20),
        (("f", "mm", "cudaLaunchKernel"), 30),
        (("f", "mm"), 40),
        (("f",), 50),
        (("unattributed",), 90),
    ]


def test_calls_of_one_frame_in_a_row_are_one_slice() -> None:
    calls = [called("cudaLaunchKernel", start, start + 10, kernel("k", 150, 160)) for start in (110, 120)]
    tree = charge(trace(*calls, called("cudaLaunchKernel", 140, 150, kernel("k", 170, 180))))
    assert [start for _, start in slices(tree)] == [0, 10, 30, 40, 50]


def test_a_window_in_which_no_device_worked_has_slices_too() -> None:
    tree = charge(trace(event("python", "f", 110, 190), called("cudaLaunchKernel", 191, 192)))
    assert [start for _, start in slices(tree)] == [0, 10, 90, 91, 92] and tree.device_work == []


def test_work_is_timed_from_the_windows_opening_with_its_launch() -> None:
    launch = called("cudaLaunchKernel", 120, 125, kernel("a", 130, 190, stream=13), kernel("b", 190, 290))
    tree = charge(trace(event("op", "mm", 110, 130, launch)))
    rows = [(names(tree, node)[-1], *rest) for node, *rest in tree.device_work]
    assert rows == [("a", 13, 20, 30, 90, None), ("b", 7, 20, 90, 190, None)]


def test_work_before_its_launch_is_kept_as_the_tracer_says() -> None:
    tree = charge(trace(called("cudaLaunchKernel", 101, 105, kernel("early", 95, 99))))
    ((_, _, launched, start, end, _),) = tree.device_work
    assert (launched, start, end) == (1, -5, -1)


def test_work_of_no_known_launch_belongs_to_the_window_that_it_began_in() -> None:
    """The tracer may lose the record of a call: the prefix's kernels, from before the window, are not its."""
    orphans = [kernel("prefix", 90, 95), kernel("lost", 120, 130), kernel("after", 201, 205)]
    tree = charge(trace(*orphans, event("op", "mm", 140, 150, kernel("linked", 145, 149))))
    assert named(tree, "device_ns") == {("lost",): 10, ("mm", "linked"): 4}
    assert [launched for _, _, launched, *_ in tree.device_work] == [None, None]


def test_what_was_launched_before_the_window_is_not_its_own() -> None:
    prefix = called("cudaLaunchKernel", 80, 85, kernel("prefix", 90, 150))
    tree = charge(trace(event("python", "open", 70, 105, prefix)))
    assert tree.device_work == [] and "device_ns" not in tree.cells


def test_work_of_another_threads_launch_still_gives_the_main_thread_its_slices() -> None:
    """They were once kept only where the main thread itself had launched something."""
    launch = called("cudaLaunchKernel", 120, 125, kernel("gemm", 130, 190))
    tree = charge(trace_of({MAIN: [event("python", "f", OPEN, CLOSE)], 2: [launch]}))
    assert slices(tree) == [(("f",), 0)]
    assert named(tree, "device_ns") == {(WORKER[1], "cudaLaunchKernel", "gemm"): 60}


@pytest.mark.parametrize(
    "name",
    [
        "cudaStreamSynchronize",
        "cudaDeviceSynchronize",
        "cudaEventSynchronize",
        "hipStreamSynchronize",
        "cuStreamSynchronize",
        "cuCtxSynchronize",
    ],
)
def test_waiting_is_a_frame_below_the_call_that_waits(name: str) -> None:
    tree = charge(trace(event("op", "aten::item", 110, 190, called(name, 120, 180))))
    assert named(tree, "wall_ns") == {
        ("aten::item",): 20,
        ("aten::item", name, WAITING[1]): 60,
        ("unattributed",): 20,
    }
    assert named(tree, "calls") == {("aten::item",): 1, ("aten::item", name): 1}
    assert WAITING in tree.frames and WAITING[:2] == ("wait", "waiting for GPU")


@pytest.mark.parametrize(
    "name", ["cudaMemcpyAsync", "cudaStreamIsCapturing", "cudaEventRecord", "cudaMalloc"]
)
def test_other_calls_wait_for_nothing_that_the_tracer_could_tell(name: str) -> None:
    assert WAITING not in charge(trace(called(name, 120, 180))).frames


def test_only_a_call_of_the_runtime_waits() -> None:
    assert WAITING not in charge(trace(event("python", "cudaStreamSynchronize", 120, 180))).frames


def test_a_wait_is_a_slice_of_its_own() -> None:
    launch = called("cudaLaunchKernel", 110, 120, kernel("gemm", 120, 170))
    tree = charge(trace(launch, called("cudaStreamSynchronize", 120, 172)))
    assert slices(tree)[2] == (("cudaStreamSynchronize", WAITING[1]), 20)


def test_what_the_tracer_takes_for_itself_is_charged_to_the_profiler() -> None:
    request = called("Activity Buffer Request", 130, 150)
    request.is_own = True
    launch = called("cudaLaunchKernel", 120, 160, kernel("gemm", 170, 180))
    launch.children.append(request)
    tree = charge(trace(launch))
    assert named(tree, "wall_ns") == {
        ("cudaLaunchKernel",): 20,
        ("cudaLaunchKernel", OWN[1]): 20,
        ("unattributed",): 60,
    }
    assert slices(tree)[1:4] == [
        (("cudaLaunchKernel",), 20),
        (("cudaLaunchKernel", OWN[1]), 30),
        (("cudaLaunchKernel",), 50),
    ]
    assert "Activity Buffer Request" not in {frame[1] for frame in tree.frames[1:] if frame is not None}


def test_a_graphs_kernels_hang_below_its_one_launch() -> None:
    kernels = [kernel(name, start, start + 5) for name, start in (("a", 130), ("b", 140), ("a", 150))]
    tree = charge(trace(called("cudaGraphLaunch [graph]", 110, 120, *kernels)))
    assert named(tree, "device_ns") == {
        ("cudaGraphLaunch [graph]", "a"): 10,
        ("cudaGraphLaunch [graph]", "b"): 5,
    }
    assert named(tree, "calls") == {
        ("cudaGraphLaunch [graph]",): 1,
        ("cudaGraphLaunch [graph]", "a"): 2,
        ("cudaGraphLaunch [graph]", "b"): 1,
    }
    assert {launched for _, _, launched, *_ in tree.device_work} == {10}


def test_copies_and_fills_have_their_bytes() -> None:
    copies = [copy("Memcpy HtoD (Pageable -> Device)", 130, 140, 1024), copy("Memset (Device)", 141, 142, 64)]
    launches = [
        called("cudaMemcpyAsync", 120, 125, copies[0]),
        called("cudaMemsetAsync", 126, 127, copies[1]),
    ]
    tree = charge(
        trace(*launches, called("cudaMemcpyAsync", 150, 155, copy(copies[0].frame[1], 160, 170, 1)))
    )
    assert named(tree, "copied_bytes") == {
        ("cudaMemcpyAsync", "Memcpy HtoD (Pageable -> Device)"): 1025,
        ("cudaMemsetAsync", "Memset (Device)"): 64,
    }
    assert sorted((start, size) for *_, start, _, size in tree.device_work) == [(30, 1024), (41, 64), (60, 1)]


def test_time_in_grids_smaller_than_the_device_is_counted_apart() -> None:
    small, large = kernel("k", 130, 140, small=True), kernel("k", 140, 170)
    tree = charge(trace(called("cudaLaunchKernel", 120, 125, small, large)))
    assert named(tree, "low_occupancy_ns") == {("cudaLaunchKernel", "k"): 10}
    assert named(tree, "device_ns") == {("cudaLaunchKernel", "k"): 40}


def test_work_that_nothing_more_is_known_of_is_on_stream_0() -> None:
    tree = charge(trace(called("cudaLaunchKernel", 120, 125, work("kernel", "k", 130, 140, None))))
    ((_, stream, *_, size),) = tree.device_work
    assert (stream, size) == (0, None)


# --- what operators must do ------------------------------------------------------------------------------


def operator(name: str, start: int, end: int, done: OpWork | None, *children: TraceEvent) -> TraceEvent:
    made = event("op", name, start, end, *children)
    made.work = done
    return made


def test_the_work_of_operators_is_charged_where_it_was_assigned() -> None:
    product = operator(
        "aten::mm", 120, 130, OpWork(flops=100, read_bytes=30, written_bytes=10, weight_bytes=20)
    )
    again = operator("aten::mm", 140, 150, OpWork(flops=1, read_bytes=2, written_bytes=3))
    unknown = operator("mine::op", 160, 170, OpWork(known=False))
    tree = charge(trace(operator("aten::linear", 110, 180, None, product, again, unknown)))
    place = ("aten::linear", "aten::mm")
    assert named(tree, "flops")[place] == 101
    assert named(tree, "read_bytes")[place] == 32
    assert named(tree, "written_bytes")[place] == 13
    assert named(tree, "weight_bytes")[place] == 20
    assert named(tree, "unknown_work") == {("aten::linear", "mine::op"): 1}
    assert set(named(tree, "flops")) == {place, ("aten::linear", "mine::op")}


def test_work_is_the_windows_in_which_the_operator_began() -> None:
    done = OpWork(flops=8)
    tree = charge(trace(operator("before", 90, 110, done), operator("inside", 190, 250, done)))
    assert named(tree, "flops") == {("inside",): 8}


def test_work_of_the_profilers_own_operators_is_nobodys() -> None:
    tree = charge(trace(event("python", "f", OPEN, CLOSE, own(110, 120, operator("a", 111, 112, OpWork(9))))))
    assert metrics.FLOPS.name not in tree.cells

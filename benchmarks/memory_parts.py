"""One measurement of what looking at memory costs, in a fresh process.

`python -m benchmarks.memory_parts MODE`; JSON lines on standard output. What is compared runs in turn in one
process, the order at random.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks import workload
from benchmarks.memory_file import sizes
from llmflame.probes.memory.held import Peak, Taken
from llmflame.recording.session import Session
from llmflame.recording.wire import PipeSink, store
from llmflame.store.writer import ProfileWriter

Result = dict[str, Any]
Timed = dict[str, float]
Way = Callable[[], contextlib.AbstractContextManager[None]]
SHORT_TOKENS = 16
"""Of a request of the timeline's comparison: more pairs in the same time say more than longer ones."""


def anatomy(options: argparse.Namespace) -> Result:
    """Traced requests with the memory view, without it, and without the allocators' events either."""
    from llmflame.recording import passes

    loop = workload.load()
    passes.calibrate(_session("anatomy"))
    loop.warm_up()
    ways: dict[str, Way] = {"with": contextlib.nullcontext, "without": _no_memory_view, "no bytes": _no_bytes}
    for way in ways.values():
        with way():
            _traced(loop)
    found: dict[str, list[Result]] = {way: [] for way in ways}
    order = random.Random(options.seed)
    for _ in range(options.requests):
        for name in order.sample(sorted(ways), len(ways)):
            with ways[name]():
                found[name].append(_traced(loop))
    with _timed_parts() as parts:
        whole = _traced(loop)
    return {
        "requests": found,
        "parts_ns": parts,
        "parts_of_ns": whole["outer_ns"],
        "file_bytes": _file_bytes(loop),
    }


def _traced(loop: workload.Loop) -> Result:
    from llmflame.recording import passes

    session = _session("anatomy")
    begin, cpu = time.perf_counter_ns(), time.thread_time_ns()
    passes.traced_request(session, loop.model, loop.marked, 0)
    outer, outer_cpu = time.perf_counter_ns() - begin, time.thread_time_ns() - cpu
    assert isinstance(session.sink, workload.KeepingSink)
    reading = next(report.value for report in session.sink.reports if report.name == "reading")
    return {
        "request_ns": loop.walls_ns[-1],
        "reading_ns": reading,
        "outer_ns": outer,
        "thread_cpu_ns": outer_cpu,
    }


@contextlib.contextmanager
def _no_memory_view() -> Iterator[None]:
    """The anatomy as it would be if nobody asked who holds the bytes."""
    from llmflame.probes import charge
    from llmflame.recording import anatomy, passes

    with contextlib.ExitStack() as patches:
        for owner, name, instead in (
            (anatomy.AnatomyWatcher, "_cache_addresses", lambda _self: {}),
            (anatomy, "hold", lambda *_: Peak()),
            (anatomy, "pinned_bytes", lambda: None),
            (anatomy, "assign_pinned", lambda *_: None),
            (passes, "storages", lambda _root: []),
            (charge, "Taken", lambda *_: None),
        ):
            patches.enter_context(mock.patch.object(owner, name, instead))
        yield


@contextlib.contextmanager
def _no_bytes() -> Iterator[None]:
    """And as it would be if torch's tracer kept no events of the allocators."""
    from llmflame.probes import tracing

    original: Any = getattr(tracing, name := "profile")

    def profile(**options: Any) -> Any:
        return original(**{**options, "profile_memory": False})

    with _no_memory_view(), mock.patch.object(tracing, name, profile):
        yield


@contextlib.contextmanager
def _timed_parts() -> Iterator[Timed]:
    """What each part of the memory view takes, added up; the wrapper around a part is called a few times."""
    from llmflame.recording import anatomy, passes

    found: Timed = defaultdict(float)

    def timed(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            begin = time.perf_counter_ns()
            result = original(*args)
            found[name] += time.perf_counter_ns() - begin
            if name == "who holds the peak":
                found["noting the allocators' events"] += _noting_ns(len(args[1]))
            return result

        return run

    with contextlib.ExitStack() as patches:
        for owner, attribute, name in (
            (anatomy.AnatomyWatcher, "_cache_addresses", "addresses of the cache"),
            (anatomy, "hold", "who holds the peak"),
            (anatomy, "pinned_bytes", "page-locked memory"),
            (anatomy, "assign_pinned", "page-locked memory"),
            (passes, "storages", "walk of live tensors"),
        ):
            patches.enter_context(mock.patch.object(owner, attribute, timed(name, getattr(owner, attribute))))
        yield found


def _noting_ns(count: int) -> int:
    """What it takes to keep as many events as a window had."""
    begin, kept = time.perf_counter_ns(), []
    for number in range(count):
        kept.append(Taken(number, number, number, False, number, number))
    return time.perf_counter_ns() - begin


def _file_bytes(loop: workload.Loop) -> Result:
    """Of a profile that holds one anatomy request and nothing else."""
    from llmflame.probes.device import Device
    from llmflame.recording import passes

    told = io.BytesIO()
    session = Session("anatomy", PipeSink(told), time.perf_counter_ns())
    session.device = Device("cpu")
    passes.traced_request(session, loop.model, loop.marked, 0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "anatomy.llmflame"
        writer = ProfileWriter(path, version="benchmark", mode="profile")
        for line in told.getvalue().splitlines():
            store(writer, *json.loads(line))
        writer.finish("complete")
        return sizes(path)


def counted(options: argparse.Namespace) -> Result:
    """Clean and counted requests in turn; and a census by itself."""
    from llmflame.probes.memory.census import take_census
    from llmflame.recording import memory, passes

    loop = workload.load()
    loop.warm_up()
    found: Result = {"clean_ns": [], "counted_ns": [], "censuses_ns": [], "census_counts": []}

    def census(*args: Any) -> Any:
        begin = time.perf_counter_ns()
        result = take_census(*args)
        found["censuses_ns"].append(time.perf_counter_ns() - begin)
        return result

    order = random.Random(options.seed)
    ways: dict[str, Callable[..., Any]] = {
        "clean_ns": passes.clean_request,
        "counted_ns": passes.counted_request,
    }
    with mock.patch.object(memory, "take_census", census):
        for _ in range(options.requests):
            for name in order.sample(sorted(ways), len(ways)):
                session, before = (
                    _session("memory" if name == "counted_ns" else "clean"),
                    len(found["censuses_ns"]),
                )
                session.last_step = workload.NEW_TOKENS - 1
                begin = time.perf_counter_ns()
                ways[name](session, loop.model, loop.marked, *([0] if name == "clean_ns" else []))
                found[name].append(time.perf_counter_ns() - begin)
                if name == "counted_ns":
                    found["census_counts"].append(len(found["censuses_ns"]) - before)
    return found


def decode(_options: argparse.Namespace) -> Result:
    """A bare request for each line of standard input; its wall is said in a line of its own."""
    loop = workload.load(workload.short(SHORT_TOKENS))
    loop.warm_up()
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        cpu = time.thread_time_ns()
        wall = loop.bare()
        print(json.dumps({"wall_ns": wall, "cpu_ns": time.thread_time_ns() - cpu}), flush=True)
    return {"texts": len(loop.texts)}


def _session(pass_name: str) -> Session:
    from llmflame.probes.device import Device

    session = workload.discarding_session(pass_name)
    session.device = Device("cpu")
    return session


MODES: dict[str, Callable[[argparse.Namespace], Result]] = {
    "anatomy": anatomy,
    "counted": counted,
    "decode": decode,
}


def main() -> int:
    """Measure; errors leave through a traceback on standard error."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(json.dumps(MODES[options.mode](options)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

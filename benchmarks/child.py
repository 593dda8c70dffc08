"""One measurement in a fresh process: `python -m benchmarks.child MODE`; JSON lines on standard output."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import peers, recorded, workload
from llmflame.probes.peak import HighWaterMark
from llmflame.recording.session import Session

Result = dict[str, Any]


def nothing(options: argparse.Namespace) -> Result:
    """Requests with nothing of llmflame attached."""
    loop = workload.load()
    loop.warm_up()
    mark, before = _fresh_peak()
    for _ in range(options.requests):
        loop.bare()
    after = mark.read_bytes() or 0
    return {
        "walls_ns": loop.walls_ns,
        "peak_rss_bytes": max(before, after),
        "request_peak_rss_bytes": after,
        "texts": sorted(loop.texts),
        "ended_ns": time.perf_counter_ns(),
    }


def clean(options: argparse.Namespace) -> Result:
    """Requests as the clean pass runs them."""
    loop = workload.load()
    loop.warm_up()
    _, before = _fresh_peak()
    requests = [_clean_request(loop, number) for number in range(options.requests)]
    peak = max(request["peak_rss_bytes"] for request in requests)
    return {
        "walls_ns": loop.walls_ns,
        "requests": requests,
        "peak_rss_bytes": max(before, peak),
        "request_peak_rss_bytes": peak,
        "texts": sorted(loop.texts),
    }


def pairs(options: argparse.Namespace) -> Result:
    """Bare and clean requests in turn in one process, the first of each pair at random."""
    loop = workload.load()
    loop.warm_up()
    order = random.Random(options.seed)
    found = []
    for number in range(options.requests):
        pair: Result = {"clean_first": order.random() < 0.5}
        for is_clean in (pair["clean_first"], not pair["clean_first"]):
            if is_clean:
                pair["clean"] = _clean_request(loop, number)
            else:
                pair["bare_ns"] = loop.bare()
        found.append(pair)
    return {"pairs": found, "texts": sorted(loop.texts)}


def windows(options: argparse.Namespace) -> Result:
    """Clean and traced requests in turn in one process, after calibration and warm-up as in a recording."""
    from llmflame.recording import passes

    loop = workload.load()
    passes.calibrate(_session("anatomy"))
    loop.warm_up()
    order = random.Random(options.seed)
    found = []
    for number in range(options.requests):
        pair: Result = {"clean_first": order.random() < 0.5}
        for is_clean in (pair["clean_first"], not pair["clean_first"]):
            run = _clean_request if is_clean else _traced_request
            pair["clean" if is_clean else "traced"] = run(loop, number)
        found.append(pair)
    return {"pairs": found, "texts": sorted(loop.texts)}


def record(options: argparse.Namespace) -> Result:
    """A whole recording of the demo model, and how long it takes until it can be read."""
    return recorded.measure(options.tokens)


def peer(options: argparse.Namespace) -> Result:
    """One request under another profiler; what comes after it can take long, so it is told in two lines."""
    if not peers.installed(options.peer):
        return {"error": "not installed"}
    loop = workload.load()
    loop.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        mark, before = _fresh_peak()
        result, later = peers.PEERS[options.peer](loop, Path(folder))
        after = mark.read_bytes() or 0
        result |= {"peak_rss_bytes": max(before, after), "request_peak_rss_bytes": after}
        result["texts"] = sorted(loop.texts)
        if options.table and later is not None:
            _tell(result)
            begin = time.perf_counter_ns()
            later()
            result = {"key_averages_ns": time.perf_counter_ns() - begin}
            result["table_peak_rss_bytes"] = mark.read_bytes()
    return result


def _clean_request(loop: workload.Loop, number: int) -> Result:
    from llmflame.recording import passes

    session = _session("clean")
    begin = time.perf_counter_ns()
    passes.clean_request(session, loop.model, loop.marked, number)
    outer = time.perf_counter_ns() - begin
    return {
        "wall_ns": loop.walls_ns[-1],
        "outer_ns": outer,
        "peak_rss_bytes": session.highest_rss_bytes,
        **_steps(session),
    }


def _traced_request(loop: workload.Loop, number: int) -> Result:
    from llmflame.recording import passes

    session = _session("anatomy")
    mark, _ = _fresh_peak()
    begin = time.perf_counter_ns()
    passes.traced_request(session, loop.model, loop.marked, number)
    outer = time.perf_counter_ns() - begin
    return {
        "wall_ns": loop.walls_ns[-1],
        "outer_ns": outer,
        "peak_rss_bytes": mark.read_bytes(),
        **_steps(session),
    }


def _steps(session: Session) -> Result:
    """Each step's time and treatment, and the pause before it in which windows were closed and opened."""
    sink = session.sink
    assert isinstance(sink, workload.KeepingSink)
    steps = sorted((s for s in sink.spans if s.name == "step"), key=lambda step: step.start_ns)
    request = next(span for span in sink.spans if span.name == "request")
    pauses = [b.start_ns - a.start_ns - a.wall_ns for a, b in pairwise(steps)]
    return {
        "request_ns": request.wall_ns,
        "steps_ns": [step.wall_ns for step in steps],
        "treatments": [step.treatment for step in steps],
        "pauses_ns": [0, *pauses],
        "reading_ns": next((r.value for r in sink.reports if r.name == "reading"), None),
    }


def _session(pass_name: str) -> Session:
    from llmflame.probes.device import Device

    session = workload.discarding_session(pass_name)
    session.device = Device("cpu")
    return session


def _fresh_peak() -> tuple[HighWaterMark, int]:
    """A peak that starts now, and the process' peak until now."""
    mark = HighWaterMark()
    before = mark.read_bytes() or 0
    mark.reset()
    return mark, before


def _tell(result: Result) -> None:
    print(json.dumps(result), flush=True)


MODES: dict[str, Callable[[argparse.Namespace], Result]] = {
    "nothing": nothing,
    "clean": clean,
    "pairs": pairs,
    "windows": windows,
    "record": record,
    "peer": peer,
}


def main() -> int:
    """Measure; errors leave through a traceback on standard error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--requests", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=workload.NEW_TOKENS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peer", default="")
    parser.add_argument("--table", action="store_true", help="also time torch's key_averages()")
    options = parser.parse_args()
    _tell(MODES[options.mode](options))
    return 0


if __name__ == "__main__":
    sys.exit(main())

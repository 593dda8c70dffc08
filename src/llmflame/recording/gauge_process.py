"""Reads the gauges of the process that started this one: `python -m llmflame.recording.gauge_process`.

A thread inside the profiled process would take the interpreter's lock from it. Arguments: the process'
number, the interval in seconds, the clock's origin in nanoseconds, and the GPU, if any. What was read goes to
standard output, one JSON document a line: `[name, time_ns, value]`, and at the end an object with the report.
Ends when standard input is closed, which the end of the parent does too, or with the process.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from typing import IO

from llmflame.probes.gauges import GaugeLoop, ProcessGauges, Reading, Values

FLUSH_S = 0.5
STDIN = 0


def main(arguments: list[str], out: IO[bytes]) -> int:
    """Read until told to stop."""
    pid, interval_s, origin_ns = int(arguments[0]), float(arguments[1]), int(arguments[2])
    gauges = ProcessGauges(pid, arguments[3] if len(arguments) > 3 else None)
    flushed_s = time.monotonic()

    def read() -> Values | None:
        nonlocal flushed_s
        # By the clock: in a process with many mappings a reading takes far longer than the interval.
        if time.monotonic() - flushed_s >= FLUSH_S:
            flushed_s = time.monotonic()
            out.flush()
        return gauges.read()

    def keep(reading: Reading) -> None:
        out.write(json.dumps(reading).encode() + b"\n")

    loop = GaugeLoop(read, keep, interval_s=interval_s, origin_ns=origin_ns)
    running = _until_told_to_stop()
    loop.run(lambda seconds: running.acquire(timeout=seconds))
    gauges.close()
    out.write(json.dumps({"report": loop.report(), "unreadable": gauges.unreadable}).encode() + b"\n")
    out.flush()
    return 0


def _until_told_to_stop() -> threading.Lock:
    """A lock that is released when the parent closes its end, or is gone.

    Unlike a signal at the parent's death, this doesn't take the end of the parent's thread for that of its
    process.
    """
    running = threading.Lock()
    running.acquire()

    def listen() -> None:
        # By number: the interpreter can't end while a thread holds the lock of a buffered stream.
        while os.read(STDIN, 1):
            pass
        running.release()

    threading.Thread(target=listen, name="llmflame parent", daemon=True).start()
    return running


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout.buffer))

"""One pass in a fresh process: `python -m llmflame.recording.child`, told what to do on standard input.

The first lines run before anything heavy is imported, so that start-up and imports are measured too.
"""

from __future__ import annotations

import time

BEGAN_NS = time.perf_counter_ns()
BEGAN_CPU_NS = time.process_time_ns()

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import sys
import traceback

from llmflame.errors import StallsRefusedError, UsageError
from llmflame.recording.wire import PipeSink

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the pass that the parent asked for; what happens is told through the pipe."""
    order = json.loads(sys.stdin.buffer.readline())
    sink = PipeSink(os.fdopen(order["pipe"], "wb"))
    _die_with_parent(order["parent"])
    _tell_stack_when_warned(sink)
    try:
        from llmflame.recording.pass_in_child import run_pass

        run_pass(order, sink, BEGAN_NS, BEGAN_CPU_NS)
    except UsageError as error:
        sink.send("usage", str(error))
        return 2
    except StallsRefusedError as error:
        sink.send("failed", {"reason": str(error), "traceback": ""})
        return 1
    except BrokenPipeError:
        return 1
    except BaseException as error:
        sink.send("failed", {"reason": _reason(error), "traceback": _traceback()})
        return 1
    sink.send("done", None)
    return 0


def _reason(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    if type(error).__name__ == "RanOutOfMemoryError":
        return text[0]
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _traceback() -> str:
    try:
        return traceback.format_exc()[-20_000:]
    except MemoryError:
        return ""


def _tell_stack_when_warned(sink: PipeSink) -> None:
    """The recorder signals when the control group's limit is near: the kernel's kill leaves no stack."""
    with contextlib.suppress(AttributeError, OSError, ValueError):  # no such signal, or no standard error
        faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=False)
        sink.send("warn_signal", True)


def _die_with_parent(parent: int) -> None:
    """A recorder that is killed must not leave a model behind that nobody watches."""
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main())

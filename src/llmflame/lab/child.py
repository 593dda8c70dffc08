"""The first lines of a trial's process: `python -m llmflame.lab.child PARENT WORKER SPEC.json`.

It ends with its parent: an experiment that is killed leaves no model behind. Then the worker runs as if it
had been started itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the module WORKER as a program with SPEC.json as its argument."""
    parent, worker, spec = sys.argv[1:]
    _die_with_parent(int(parent))
    sys.argv = [worker, spec]
    runpy.run_module(worker, run_name="__main__", alter_sys=True)


def _die_with_parent(parent: int) -> None:
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        raise SystemExit(1)


if __name__ == "__main__":
    main()

"""The child's end of the lines that `child.run` reads."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading


class Channel:
    """Sends JSON lines on the real stdout; everything else that is printed in this process goes to stderr."""

    def __init__(self) -> None:
        self._file = os.fdopen(os.dup(1), "w", encoding="utf-8")
        # Libraries print to stdout; below the Python level too.
        os.dup2(2, 1)

    def progress(self, message: str, /) -> None:
        """Send one line of progress."""
        self._send("progress", message)

    def result(self, value: str) -> None:
        """Send what the work returned."""
        self._send("result", value)

    def error(self, message: str, *, fetch: bool = False) -> None:
        """Send the one line that the caller shows; `fetch` marks a failed download."""
        self._send("fetch_error" if fetch else "error", message)

    def _send(self, kind: str, value: str) -> None:
        self._file.write(json.dumps({kind: value}) + "\n")
        self._file.flush()


def end_with_parent() -> None:
    """End this process and all it started when the parent's end of stdin closes."""
    lifeline = os.dup(0)
    # What we start must not share the lifeline.
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - os.devnull is no path of ours
        os.dup2(nothing.fileno(), 0)
    threading.Thread(target=_wait_for_end, args=(lifeline,), daemon=True, name="lifeline").start()


def _wait_for_end(lifeline: int) -> None:
    while os.read(lifeline, 1):
        pass
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)

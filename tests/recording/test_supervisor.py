"""What a supervisor makes of a child's end."""

from __future__ import annotations

import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from llmflame.recording import supervisor
from llmflame.recording.gauge_feed import GaugeThread
from llmflame.recording.killed import MemoryEvidence

DUMP = b'Stack (most recent call first):\n  File "/home/me/model.py", line 57 in forward\n'
NOTHING = MemoryEvidence()


def told(**fields: Any) -> supervisor._Told:
    return supervisor._Told(GaugeThread("clean", 1, origin_ns=0, interval_s=1), **fields)


@pytest.mark.parametrize(
    ("fields", "code", "stderr", "reason"),
    [
        ({"done": True}, -9, b"", None),
        ({"failure": {"reason": "ValueError: boom"}}, 1, b"", "ValueError: boom"),
        ({"usage": "no such device"}, 2, b"", "no such device"),
        ({}, 3, b"", "the process ended with exit code 3"),
        ({}, 3, b"a\nfatal: b\n", "the process ended with exit code 3: fatal: b"),
        ({}, 3, b"fatal: b\n" + DUMP, "the process ended with exit code 3: fatal: b"),
        ({}, -signal.SIGSEGV, b"", "the process was killed by SIGSEGV"),
        (
            {},
            -signal.SIGKILL,
            b"x" * (2 * supervisor.STDERR_TAIL_BYTES) + b"\n" + DUMP + b"Killed\n",
            "the process was killed by SIGKILL (out of memory?), in /home/me/model.py:57 forward",
        ),
    ],
)
def test_the_reason_of_an_end(fields: dict[str, Any], code: int, stderr: bytes, reason: str | None) -> None:
    assert supervisor._failure(told(**fields), code, BytesIO(stderr), NOTHING) == reason


def test_a_child_says_that_it_handles_the_warning(tmp_path: Path) -> None:
    runner = supervisor.PassRunner.__new__(supervisor.PassRunner)
    runner._writer = None  # type: ignore[assignment]
    seen = told()
    assert not seen.gauges.warn_signal
    runner._message(b'["warn_signal", true]', seen)
    assert seen.gauges.warn_signal

"""A child that the kernel kills for want of memory says beforehand where it is."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from llmflame.errors import ProgramFailedError
from llmflame.probes.memory_limits import Limit, Limits
from llmflame.recording import supervisor
from llmflame.recording.record import record
from llmflame.recording.workload import Workload
from llmflame.store.profile import read_profile
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve
from tests.integration import checkpoints

MIB = 1 << 20
LIMIT_BYTES = 1024 * MIB
"""More than the libraries and a tiny model hold."""
DEED = (
    "said, end = os.fstat(2).st_size, time.monotonic() + 120\n"
    "            held = b'x' * (1200 << 20)\n"
    "            while os.fstat(2).st_size == said and time.monotonic() < end: time.sleep(0.01)\n"
    "            os.kill(os.getpid(), signal.SIGKILL)"
)
"""Killed once it has said where it is, on standard error, however late a busy machine warns it."""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_reason_names_the_limit_and_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m").mkdir()
    model = checkpoints.unruly(tmp_path / "m", DEED)
    # A group of its own needs privileges: its limit and its counter of kills are said, the rest is real.
    limit = Limit("cgroup memory.max", LIMIT_BYTES, tmp_path, 2)
    kills = itertools.count()
    monkeypatch.setattr(Limits, "of", lambda _pid: Limits((limit,)))
    monkeypatch.setattr(supervisor, "oom_kills", lambda _pid: next(kills))
    output = tmp_path / "out.llmflame"
    checkpoint = resolve(str(model), progress=silent, trust_remote_code=True, allow_pickle=False)
    with pytest.raises(ProgramFailedError, match="SIGKILL"):
        record(checkpoint, Workload(new_tokens=6, device="cpu"), output)
    profile = read_profile(output)
    reason = profile.run.reason or ""
    assert "the cgroup's memory limit of 1.0 GiB was hit (oom_kill), in " in reason
    assert "modeling_unruly.py:" in reason
    reports = {report.name: report.value for report in profile.probe_reports if report.probe == "gauges"}
    assert reports["limit: cgroup memory.max"] == LIMIT_BYTES
    assert (reports["warned near the limit"] or 0) >= 0.96 * LIMIT_BYTES

"""A recorder lets go of all that it held, however its block ends."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path

import psutil
import pytest
import torch

import llmflame
from llmflame.recording.live import runs_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")


def _held() -> Counter[str]:
    """The files of /proc that are open, which is where counters read."""
    targets = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            targets.append(str(entry.readlink()))
        except FileNotFoundError:  # the listing's own descriptor
            continue
    return Counter(target for target in targets if target.endswith(("/statm", "/io", "/schedstat")))


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("repeated", [False, True])
def test_a_recording_leaves_no_descriptor(tmp_path: Path, repeated: bool, fails: bool) -> None:
    model, before = torch.nn.Linear(2, 2), _held()
    recorder = llmflame.Recorder(model, tmp_path / "run.llmflame", repetitions=1)
    try:
        with recorder:
            assert _held() != before
            for _ in recorder.passes() if repeated else range(1):
                model(torch.ones(1, 2))
            if fails:
                raise ArithmeticError
    except ArithmeticError:
        assert fails
    assert _held() == before
    assert not [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]
    assert recorder.profile.run.status == ("failed" if fails else "complete")


def test_memory_is_watched_by_a_helper_in_every_pass(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    with llmflame.Recorder(model, tmp_path / "run.llmflame", repetitions=1) as recorder:
        for _ in recorder.passes():
            model(torch.ones(1, 2))
    profile = recorder.profile
    outside = [gauge for gauge in profile.gauges if gauge.name == "anonymous_bytes"]
    assert outside and {gauge.pass_name for gauge in outside} <= {"clean", "memory", "anatomy"}
    assert all(gauge.value > 0 for gauge in outside)
    (readings,) = (r for r in profile.probe_reports if (r.probe, r.name) == ("gauges", "readings"))
    assert readings.value
    assert not [r.name for r in profile.probe_reports if r.name.startswith("unreadable")]


@pytest.mark.parametrize("fails", [False, True])
def test_a_helper_ends_with_its_recorder(tmp_path: Path, fails: bool) -> None:
    children: list[psutil.Process] = []
    with contextlib.suppress(ArithmeticError), llmflame.Recorder(torch.nn.Linear(2, 2), tmp_path / "run"):
        children = psutil.Process().children()
        assert any("gauge_process" in " ".join(child.cmdline()) for child in children)
        if fails:
            raise ArithmeticError
    assert not [child for child in children if child.is_running()]


def test_what_is_put_back_between_runs_is_off_the_clock(tmp_path: Path) -> None:
    """Before each run but the warm-up, when nothing is hooked: a call of the model there is no step."""
    model, told = torch.nn.Linear(2, 2), list[str]()

    def between() -> None:
        told.append("between")
        model(torch.ones(1, 2))

    with llmflame.Recorder(model, tmp_path / "run.llmflame", repetitions=2) as recorder:
        for name in recorder.passes(between=between):
            told.append(name)
            model(torch.ones(1, 2))
    runs = ["warmup", "clean", "clean", "memory", "anatomy", "anatomy", "anatomy"]
    assert len(runs) == runs_of(2)
    assert told == ["warmup", *(word for name in runs[1:] for word in ("between", name))]
    steps = [span for span in recorder.profile.spans if (span.pass_name, span.name) == ("clean", "step")]
    assert [step.repetition for step in steps] == [0, 1]

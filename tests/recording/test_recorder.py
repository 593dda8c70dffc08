"""A recorder lets go of all that it held, however its block ends."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

import llmflame

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
    assert recorder.profile.run.status == ("failed" if fails else "complete")

"""What is planted is found where it was planted, and told from its opposite.

How far off its time is, `benchmarks/accuracy.py` measures: it takes a machine that does nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.integration import planted

pytestmark = pytest.mark.demo


@pytest.fixture
def one_thread() -> Iterator[None]:
    """OpenMP's threads wait for each other: a second one makes every other process' turn this one's delay."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_busy_loop_and_a_sleep_are_told_apart_below_their_module(
    demo_pipeline: Any, tmp_path: Path, one_thread: None
) -> None:
    """`found` holds that neither stands anywhere but at its own module, in decode."""
    shares = {}
    for name in planted.DEEDS:
        profile, took = planted.record(demo_pipeline, tmp_path / f"{name}.llmflame", name)
        wall, cpu = planted.found(profile, name)
        assert wall > 0 and len(took) > 0
        shares[name] = cpu / wall
    assert shares["nap"] < shares["burn"] / 2, shares

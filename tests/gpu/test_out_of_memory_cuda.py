"""A device's memory that runs out: exact bytes, who held them, and the program's own exception."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import llmflame
from llmflame.store import categories
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import MomentRow

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
MIB = 1 << 20
ALLOWED_BYTES = 1 << 30
WIDTH = 2048
HELD_BYTES = 64 * MIB
TOO_MUCH = (2 << 30) + 6 * MIB
"""A multiple of the 2 MiB that the allocator rounds to, which the exception's text can't say exactly."""


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: torch.Tensor) -> Any:
        held = torch.empty(HELD_BYTES, dtype=torch.uint8, device="cuda")
        return self.up(x), held, torch.empty(TOO_MUCH, dtype=torch.uint8, device="cuda")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Layer()

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)


@pytest.fixture
def allowed() -> Iterator[None]:
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(ALLOWED_BYTES / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def failing(output: Path) -> tuple[Profile, BaseException]:
    model = Model().to("cuda")
    x = torch.ones((4, 16, WIDTH), device="cuda")
    with (
        pytest.raises(torch.OutOfMemoryError) as caught,
        torch.no_grad(),
        llmflame.Recorder(model, output),
    ):
        model(x)
    return read_profile(output), caught.value


def failure_of(profile: Profile) -> MomentRow:
    (moment,) = [moment for moment in profile.moments if moment.when == "failure"]
    return moment


@pytest.mark.usefixtures("allowed")
def test_a_device_that_is_full(tmp_path: Path) -> None:
    profile, error = failing(tmp_path / "run.llmflame")
    assert type(error) is torch.OutOfMemoryError and error.__cause__ is None
    assert profile.run.status == "failed"
    said = profile.subject
    assert said["out_of_memory_space"] == "device"
    assert said["out_of_memory_requested_bytes"] == TOO_MUCH
    assert said["out_of_memory_limit_name"] == "set_per_process_memory_fraction"
    assert said["out_of_memory_limit_bytes"] == pytest.approx(ALLOWED_BYTES, rel=1e-3)
    assert str(said["out_of_memory_stack"]).splitlines()[-1].startswith("layer  forward (")
    assert "in layer; " in (profile.run.reason or "")
    moment = failure_of(profile)
    held = {
        (holding.category, holding.owner): holding.bytes
        for holding in profile.holdings
        if holding.moment == moment.id and holding.space == "device"
    }
    assert held[categories.WEIGHTS, "layer.up"] == WIDTH * WIDTH * 4
    assert held[categories.ACTIVATIONS, "layer"] >= HELD_BYTES


@pytest.mark.usefixtures("allowed")
def test_all_that_was_given_out_then_has_a_holder(tmp_path: Path) -> None:
    """What calls gave back while the exception passed through was in use when memory ran out."""
    profile, _ = failing(tmp_path / "run.llmflame")
    moment = failure_of(profile)
    readings = {one.name: one.value for one in profile.readings if one.moment == moment.id}
    held = sum(
        one.bytes
        for one in profile.holdings
        if one.moment == moment.id and one.space == "device" and one.category != categories.SLACK
    )
    assert held == readings["device_allocated_bytes"]
    assert readings["device_allocated_bytes"] <= readings["device_reserved_bytes"]

"""On a CUDA device: every ceiling that it can have is measured, and the device is left as it was."""

from __future__ import annotations

import math
import time
from pathlib import Path

import pytest
import torch

from llmflame.probes.ceilings import measure_ceilings
from llmflame.probes.ceilings.kept import keep, kept
from llmflame.probes.ceilings.names import SECTION, UNITS
from llmflame.store.model import Fact

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
LIMIT_S = 60.0
"""About 15 s on an H200; this only catches a measure that hangs."""
WITH_FLOAT8 = (8, 9)
FIRST_WITH_INT8 = (7, 5)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Fact]:
    begin = time.monotonic()
    measured = measure_ceilings(tmp_path_factory.mktemp("cache"), lambda _message: None)
    assert time.monotonic() - begin < LIMIT_S
    for fact in measured:
        print(f"{fact.name:32} {fact.value!s:24} {fact.unit} {fact.source}")
    return {fact.name: fact for fact in measured if fact.section == SECTION}


def test_every_name_is_there(facts: dict[str, Fact]) -> None:
    assert sorted(facts) == sorted(UNITS)
    assert facts["measured device"].value == torch.cuda.get_device_name(0)


def test_numbers_are_positive(facts: dict[str, Fact]) -> None:
    capability = torch.cuda.get_device_capability(0)
    absent = {"disk read"}  # a folder in memory has no disk
    if capability < (8, 0):
        absent |= {"device matmul tfloat32"}
    if capability < WITH_FLOAT8:
        absent |= {"device matmul float8_e4m3fn"}
    if capability < FIRST_WITH_INT8:
        absent |= {"device matmul int8"}
    for name, fact in facts.items():
        if UNITS[name] is not None and name not in absent:
            assert isinstance(fact.value, int | float), fact
            assert math.isfinite(fact.value) and fact.value > 0, fact


def test_memory_and_precision_are_left_as_they_were(facts: dict[str, Fact]) -> None:
    assert facts
    torch._C._cuda_clearCublasWorkspaces()  # which the library keeps after any product
    assert torch.cuda.memory_allocated() == 0
    assert torch.get_float32_matmul_precision() == "highest"


def test_they_can_be_kept(facts: dict[str, Fact], tmp_path: Path) -> None:
    keep(tmp_path, [], facts.values())
    assert kept(tmp_path, []) == list(facts.values())

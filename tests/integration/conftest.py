"""One recording of the demo model for all tests that read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmflame.recording.record import record
from llmflame.recording.workload import Workload
from llmflame.store.profile import Profile, read_profile
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve
from tests.integration import checkpoints

NEW_TOKENS = 12
REPETITIONS = 2


@pytest.fixture(scope="session")
def demo_profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    output = tmp_path_factory.mktemp("demo") / "demo.llmflame"
    work = Workload(new_tokens=NEW_TOKENS, repetitions=REPETITIONS, dtype="float32", device="cpu")
    record(resolve("demo", progress=silent), work, output)
    return read_profile(output)


@pytest.fixture(scope="session")
def demo_pipeline() -> Any:
    import torch
    from transformers import pipeline

    folder = resolve("demo", progress=silent).folder
    return pipeline("text-generation", model=str(folder), dtype=torch.float32, device="cpu")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_pipeline(tiny_folder: Path) -> Any:
    import torch
    from transformers import pipeline

    return pipeline("text-generation", model=str(tiny_folder), dtype=torch.float32, device="cpu")

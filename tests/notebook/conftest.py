"""A real shell, and a tiny pipeline that it may run."""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import checkpoints
from tests.notebook.real_shell import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config()
    config.HistoryManager.enabled = False
    made: Any = InteractiveShell.instance(config=config)
    publisher: Any = CapturingDisplayPublisher
    published = made.display_pub = publisher()
    found = Shell(made, published)
    found.run("%load_ext llmflame")
    yield found
    made.atexit_operations()
    atexit.unregister(made.atexit_operations)  # it works once only
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def pipe(tiny_folder: Path) -> Any:
    import torch
    from transformers import pipeline

    return pipeline("text-generation", model=str(tiny_folder), dtype=torch.float32, device="cpu")

"""Tiny checkpoints, made on the fly by the same writer that makes the published dummies."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmflame.subjects import dummy_write
from llmflame.subjects.progress import silent

from .tiny import TINY_LLAMA


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test but those of the demo touches the person's cache."""
    if "demo" not in request.keywords:
        monkeypatch.setenv("LLMFLAME_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-llama")
    dummy_write.write(TINY_LLAMA, folder, silent)
    return folder

"""Counting GPUs without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmflame.probes.gpu_count import gpu_count


class Nvml:
    """A driver library with so many GPUs, or one that fails."""

    def __init__(self, count: int, fails: bool = False) -> None:
        self.count, self.fails, self.open = count, fails, 0

    def nvmlInit(self) -> None:
        if self.fails:
            raise RuntimeError("Driver Not Loaded")
        self.open += 1

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlShutdown(self) -> None:
        self.open -= 1


@pytest.mark.parametrize(("nvml", "expected"), [(Nvml(2), 2), (Nvml(0), 0), (Nvml(1, fails=True), 0)])
def test_by_library(nvml: Nvml, expected: int) -> None:
    assert gpu_count(nvml) == expected
    assert nvml.open == 0


@pytest.mark.parametrize(
    ("script", "expected"),
    [("printf 'GPU 0: A\\nGPU 1: B\\n'", 2), ("echo GPU 0; exit 9", 0), ("true", 0)],
)
def test_by_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: int) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    _without_pynvml(monkeypatch)
    assert gpu_count() == expected


def test_without_library_and_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    _without_pynvml(monkeypatch)
    assert gpu_count() == 0


def _without_pynvml(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)

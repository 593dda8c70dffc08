"""How many NVIDIA GPUs this machine has, asked without torch."""

from __future__ import annotations

import importlib
import shutil
import subprocess
from typing import Any

TIMEOUT_S = 5.0


def gpu_count(nvml: Any = None) -> int:
    """How many the driver counts: by NVML, else by `nvidia-smi -L`; 0 where neither answers."""
    if nvml is None:
        try:
            nvml = importlib.import_module("pynvml")
        except ImportError:
            return _by_command()
    try:
        nvml.nvmlInit()
        try:
            return int(nvml.nvmlDeviceGetCount())
        finally:
            nvml.nvmlShutdown()
    except Exception:  # NVML raises its own errors, for a missing driver too
        return 0


def _by_command() -> int:
    command = shutil.which("nvidia-smi")
    if command is None:
        return 0
    try:
        done = subprocess.run(
            [command, "-L"], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines()) if done.returncode == 0 else 0

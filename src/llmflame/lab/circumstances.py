"""Where a trial runs: what a variant's refusal may depend on."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from llmflame.lab.trial import TrialSpec
from llmflame.lab.variants.setup import Setup
from llmflame.lab.variants.variant import OPTIONAL_MODULES, Circumstances

_COMPILERS = ("g++", "clang++")


def circumstances(spec: TrialSpec, setup: Setup, architecture: str | None) -> Circumstances:
    """Of this process. Imports torch, and asks a CUDA device only where the trial wants one.

    dtype and batch are the setup's: another variant may have changed them.
    """
    import psutil
    import torch

    major, minor = torch.__version__.split(".")[:2]
    cuda = spec.device == "cuda" and torch.cuda.is_available()
    logical = psutil.cpu_count() or 1
    return Circumstances(
        engine=spec.engine,
        device=spec.device,
        dtype=setup.dtype,
        batch=setup.batch,
        torch=(int(major), int(minor)),
        capability=torch.cuda.get_device_capability() if cuda else None,
        cpu_flags=_cpu_flags(),
        physical_cores=psutil.cpu_count(logical=False) or logical,
        logical_cpus=logical,
        modules=frozenset(name for name in OPTIONAL_MODULES if importlib.util.find_spec(name)),
        compiler=any(shutil.which(name) for name in _COMPILERS),
        architecture=architecture,
    )


def _cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """As Linux names them: `flags` on x86, `Features` on ARM; none where there is no such file."""
    try:
        lines = cpuinfo.read_text("utf-8", "replace").splitlines()
    except OSError:
        return frozenset()
    found = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return frozenset(found.partition(":")[2].split())

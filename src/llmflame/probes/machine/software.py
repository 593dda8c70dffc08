"""Versions of Python and of the packages that a model runs on, read without importing any of them."""

from __future__ import annotations

import platform
import sysconfig
from importlib import metadata

from llmflame.probes.machine.facts import asked
from llmflame.probes.machine.outside import why
from llmflame.store.model import Fact

SECTION = "software"
PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "accelerate",
    "huggingface-hub",
    "numpy",
    "triton",
    "nvidia-ml-py",
)


def software_facts() -> list[Fact]:
    """Python's version and build, and the installed version of each package."""
    return [
        Fact(SECTION, "python", platform.python_version(), None, "platform.python_version()"),
        asked(SECTION, "python build", _build, "platform, sysconfig"),
        *(_package(name) for name in PACKAGES),
    ]


def _build() -> str:
    threading = "free-threaded" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with GIL"
    return f"{platform.python_implementation()}, {platform.python_compiler()}, {threading}"


def _package(name: str) -> Fact:
    source = "importlib.metadata"
    try:
        version: str | None = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Fact(SECTION, name, None, None, f"{source}: {name} is not installed")
    except Exception as error:
        return Fact(SECTION, name, None, None, f"{source}: {why(error)}")
    return Fact(SECTION, name, version or None, None, source if version else f"{source}: not stated")

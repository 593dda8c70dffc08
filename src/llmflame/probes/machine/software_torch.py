"""What only torch itself can tell: its libraries, its threads, the instructions it uses. Imports torch."""

from __future__ import annotations

import importlib
import re
from typing import Any

from llmflame.probes.machine.facts import Value, asked, fact_of
from llmflame.probes.machine.outside import Reading, why
from llmflame.store.model import Fact

SECTION = "torch"
CONFIG = "torch.__config__.show()"
PARALLEL = "torch.__config__.parallel_info()"
_CONFIG_PATTERNS = {
    "BLAS": r"\bBLAS_INFO=([^,\s]+)",
    "MKL": r"Math Kernel Library Version (\S+)",
    "oneDNN": r"MKL-DNN (v\S+)",
    "OpenMP": r"^\s*-? ?OpenMP (.+)$",
    "CUDA runtime": r"CUDA Runtime (\S+)",
    "cuDNN": r"CuDNN (\S+)",
}
_PARALLEL_PATTERNS = {"parallel backend": r"ATen parallel backend: (.+)"}


def torch_facts(torch: Any = None) -> list[Fact]:
    """BLAS, oneDNN, OpenMP, threads and instruction sets of torch; without torch one fact that says so."""
    if torch is None:
        try:
            torch = importlib.import_module("torch")
        except ImportError as error:
            missing = isinstance(error, ModuleNotFoundError)
            reason = "torch is not installed" if missing else f"torch could not be imported: {why(error)}"
            return [Fact(SECTION, "torch", None, None, reason)]
        except Exception as error:
            return [Fact(SECTION, "torch", None, None, f"torch could not be imported: {why(error)}")]
    return [*_built_with(torch), *_threads(torch), *_instructions(torch)]


def _built_with(torch: Any) -> list[Fact]:
    config = _page(lambda: torch.__config__.show(), CONFIG)
    parallel = _page(lambda: torch.__config__.parallel_info(), PARALLEL)
    facts = [_found(name, config, pattern) for name, pattern in _CONFIG_PATTERNS.items()]
    facts += [_found(name, parallel, pattern) for name, pattern in _PARALLEL_PATTERNS.items()]
    facts.append(
        asked(SECTION, "built for CUDA", lambda: _text(torch.version.cuda) or False, "torch.version.cuda")
    )
    facts.append(
        asked(SECTION, "built for ROCm", lambda: _text(torch.version.hip) or False, "torch.version.hip")
    )
    return facts


def _threads(torch: Any) -> list[Fact]:
    return [
        asked(SECTION, "threads", lambda: int(torch.get_num_threads()), "torch.get_num_threads()", "threads"),
        asked(
            SECTION,
            "interop threads",
            lambda: int(torch.get_num_interop_threads()),
            "torch.get_num_interop_threads()",
            "threads",
        ),
    ]


def _instructions(torch: Any) -> list[Fact]:
    return [
        asked(
            SECTION,
            "CPU capability used",
            lambda: _text(torch.backends.cpu.get_cpu_capability()),
            "torch.backends.cpu.get_cpu_capability()",
        ),
        asked(
            SECTION,
            "CPU instructions seen",
            lambda: _capabilities(torch.cpu.get_capabilities()),
            "torch.cpu.get_capabilities()",
        ),
    ]


def _capabilities(answer: dict[str, Any]) -> str | None:
    # The same answer holds counts and cache sizes: only what is exactly True is an instruction set.
    return " ".join(sorted(name for name, value in answer.items() if value is True)) or None


def _page(call: Any, source: str) -> Reading:
    page = asked(SECTION, source, lambda: _text(call()), source)
    return Reading(page.value if isinstance(page.value, str) else None, page.source)


def _found(name: str, page: Reading, pattern: str) -> Fact:
    def pick(text: str) -> str | None:
        match = re.search(pattern, text, re.MULTILINE)
        return match[1].strip() if match else None

    return fact_of(SECTION, name, page.then(pick))


def _text(answer: object) -> Value:
    return str(answer).strip() or None if answer is not None else None

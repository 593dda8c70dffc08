"""Versions, torch's own account of itself, and the thread variables."""

from __future__ import annotations

import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from llmflame.probes.machine.facts import asked, first_known, storable
from llmflame.probes.machine.software import software_facts
from llmflame.probes.machine.software_torch import torch_facts
from llmflame.probes.machine.threads import thread_facts
from llmflame.store.model import Fact

CONFIG = """PyTorch built with:
  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605 for Intel(R) 64 architecture
  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa71)
  - OpenMP 201511 (a.k.a. OpenMP 4.5)
  - CUDA Runtime 12.8
  - CuDNN 91.0.2
  - Build settings: BLAS_INFO=mkl, BUILD_TYPE=Release
"""


def fake_torch() -> SimpleNamespace:
    def broken() -> int:
        raise RuntimeError("boom")

    return SimpleNamespace(
        __config__=SimpleNamespace(
            show=lambda: CONFIG, parallel_info=lambda: "ATen/Parallel:\nATen parallel backend: OpenMP\n"
        ),
        version=SimpleNamespace(cuda="12.8", hip=None),
        get_num_threads=lambda: 8,
        get_num_interop_threads=broken,
        backends=SimpleNamespace(cpu=SimpleNamespace(get_cpu_capability=lambda: "AVX512")),
        cpu=SimpleNamespace(get_capabilities=lambda: {"avx2": True, "amx_tile": False, "num_sockets": 1}),
    )


def test_torch_tells_of_its_libraries() -> None:
    facts = {fact.name: fact for fact in torch_facts(fake_torch())}
    assert {name: fact.value for name, fact in facts.items()} == {
        "BLAS": "mkl",
        "MKL": "2024.2-Product",
        "oneDNN": "v3.12.0",
        "OpenMP": "201511 (a.k.a. OpenMP 4.5)",
        "CUDA runtime": "12.8",
        "cuDNN": "91.0.2",
        "parallel backend": "OpenMP",
        "built for CUDA": "12.8",
        "built for ROCm": False,
        "threads": 8,
        "interop threads": None,
        "CPU capability used": "AVX512",
        "CPU instructions seen": "avx2",
    }
    assert facts["interop threads"].source == "torch.get_num_interop_threads(): RuntimeError: boom"


def test_a_torch_that_answers_nothing_is_all_unknown() -> None:
    assert {fact.value for fact in torch_facts(SimpleNamespace())} == {None}


def test_without_torch_one_fact_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    (fact,) = torch_facts()
    assert fact.value is None and fact.source == "torch is not installed"


def test_versions_need_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "transformers":
            raise metadata.PackageNotFoundError(name)
        if name == "tokenizers":
            raise OSError("unreadable")
        return "1.2.3"

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setitem(sys.modules, "torch", None)
    facts = {fact.name: fact for fact in software_facts()}
    assert facts["torch"].value == "1.2.3" and facts["torch"].source == "importlib.metadata"
    assert facts["transformers"].source == "importlib.metadata: transformers is not installed"
    assert facts["transformers"].value is None and facts["tokenizers"].value is None
    assert facts["python"].value == sys.version.split()[0]


def test_only_named_thread_variables_are_shown() -> None:
    secrets = {"HF_TOKEN": "hf_x", "TORCH_SECRET_KEY": "x", "OMP_TOKEN": "x", "PATH": "/x"}
    facts = thread_facts({"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "", **secrets})
    assert {fact.name: fact.value for fact in facts} == {
        "variables set": 2, "MKL_NUM_THREADS": "", "OMP_NUM_THREADS": "4"
    }  # fmt: skip


def test_facts_become_storable() -> None:
    def made(value: str | int | float | bool | None) -> Fact:
        return storable(Fact("s", "n\udc80", value, None, "f\udcff"))

    assert made("a\ud800") == Fact("s", "n\\udc80", "a\\ud800", None, "f\\udcff")
    assert made(float("nan")).value is None and made(float("inf")).value is None
    assert made(1 << 70).value is None and made((1 << 63) - 1).value == (1 << 63) - 1
    assert made(True).value is True


def test_unknown_facts_name_every_source_once() -> None:
    unknown = [
        Fact("s", "n", None, "bytes", source) for source in ("a: not found", "b: empty", "a: not found")
    ]
    assert first_known(unknown) == Fact("s", "n", None, "bytes", "a: not found; b: empty")
    assert asked("s", "n", lambda: 1 // 0, "call()").source.startswith("call(): ZeroDivisionError")

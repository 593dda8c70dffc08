"""`llmflame plan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from llmflame.planning import devices, process
from llmflame.planning.document import document
from llmflame.planning.plan import Asked, make_plan
from llmflame.planning.process import Amount
from llmflame.planning.subject import find
from llmflame.subjects.progress import silent
from llmflame.views.plan import plan_view
from tests.cli.conftest import Invoke
from tests.golden_files import check_golden

GIB = 2**30
MODEL = "dummy:llama-3.2-1b"


def drawn(body: object, width: int = 100) -> str:
    console = Console(width=width, color_system=None, highlight=False, record=True)
    with console.capture() as capture:
        console.print(body)
    return capture.get()


@pytest.mark.parametrize(
    ("name", "device", "asked"),
    [
        ("plan-gpu", devices.named_device("h200"), Asked(4, 1000, 8)),
        ("plan-too-large", devices.of_size(2 * GIB, "cuda"), Asked(1, 1000, 8)),
        ("plan-cpu", devices.of_size(16 * GIB, "cpu"), Asked(1, 1000, 8, dtype="float32", threads=1)),
    ],
)
def test_the_view(name: str, device: devices.Device, asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process, "runtime", lambda _folder=None: Amount(350 * 2**20, "resident set of this process", True)
    )
    view = plan_view(document(make_plan(find(MODEL, silent), asked, device)))
    check_golden(name, drawn(view))
    assert all(len(line) <= 60 for line in drawn(view, 60).splitlines())


def test_a_document(invoke: Invoke) -> None:
    ended = invoke("plan", MODEL, "--device", "H100", "--batch", 2, "--context", 128, "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert found["fits"] is True and found["request"]["batch"] == 2
    assert found["device"]["name"] == "H100 80GB"
    assert found["kv_cache"]["bytes_per_token"] == 32_768


def test_not_fitting_is_an_answer(invoke: Invoke) -> None:
    ended = invoke("plan", MODEL, "--memory", "1GB", "--context", "64")
    assert (ended.code, ended.err) == (0, "")
    assert "does not fit: needs" in ended.out and "no batch fits" in ended.out


def test_this_machine(invoke: Invoke) -> None:
    ended = invoke("plan", MODEL, "--device", "cpu", "--context", "64", "--new-tokens", 1)
    assert ended.code == 0 and "this machine's CPU" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dummy:nothing"], "there is no dummy `nothing`"),
        ([MODEL, "--memory", "plenty"], "'plenty' is no amount of memory"),
        ([MODEL, "--device", "A100"], "names several devices: A100 40GB, A100 80GB"),
        ([MODEL, "--device", "abacus"], "names no device that is known here"),
        ([MODEL, "--device", "cuda:99"], "--device cuda:99: torch sees"),
        ([MODEL, "--dtype", "int3", "--device", "h100"], "no such dtype: int3"),
        ([MODEL, "--batch", "0", "--device", "h100"], "--batch 0: at least 1"),
        ([MODEL, "--batch", "some"], "Invalid value for '--batch'"),
        ([MODEL, "--attention", "none"], "--attention none: sdpa or eager"),
        ([MODEL, "--context", "200000", "--device", "h100"], "the model allows 131,072 tokens"),
        (["nothing-here"], "there is no model `nothing-here`"),
    ],
)
def test_bad_usage_is_one_line(invoke: Invoke, arguments: list[str], message: str) -> None:
    ended = invoke("plan", *arguments)
    assert ended.code == 2 and ended.out == ""
    assert message in ended.err and ended.err.count("\n") == 1 and ended.err.startswith("llmflame: ")


def test_an_unknown_model_without_a_network(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import huggingface_hub

    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", unreachable)
    ended = invoke("plan", "nobody/nothing", "--device", "h100")
    assert ended.code == 2 and ended.err.count("\n") == 1
    assert "no copy in the Hugging Face cache" in ended.err


def test_says_what_is_missing(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ended = invoke("plan", MODEL)
    assert ended.code == 2 and "torch is missing, which a plan needs" in ended.err

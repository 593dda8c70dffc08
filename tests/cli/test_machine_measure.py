"""`llmflame machine --measure`: what is measured is shown, kept and shown again."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import llmflame.cli.progress as progress_module
import llmflame.probes.ceilings as ceilings
import llmflame.probes.ceilings.kept as kept_module
import llmflame.probes.machine as machine_module
from llmflame.probes.ceilings.names import UNITS
from llmflame.probes.ceilings.sizes import Sizes
from llmflame.store.model import Fact
from llmflame.units import human_rate
from tests.cli.conftest import Invoke

DESCRIBED = [Fact("cpu", "model", "A CPU", None, "lscpu")]
MEASURED = [
    Fact("ceilings", "measured device", "cpu", None, "torch"),
    Fact("ceilings", "host copy", 2.345e10, "bytes/s", "Tensor.copy_"),
    Fact("ceilings", "disk read", None, "bytes/s", "not measured: no room"),
    Fact("ceilings", "host matmul float32", 7.89e14, "FLOP/s", "torch.mm"),
    Fact("ceilings", "launch latency", 4100.0, "ns", "Tensor.neg_"),
]


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("LLMFLAME_CACHE", str(folder))
    monkeypatch.setattr(machine_module, "read_machine", lambda _folder: list(DESCRIBED))
    return folder


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Measuring takes no time and says where it was asked to measure."""
    folders: list[Path] = []

    def measure(folder: Path, progress: Callable[[str], None]) -> list[Fact]:
        progress("measuring host copy")
        folders.append(folder)
        return MEASURED

    monkeypatch.setattr(ceilings, "measure_ceilings", measure)
    return folders


def section(out: str) -> list[str]:
    _, _, rest = out.partition("Ceilings\n")
    return [" ".join(line.split()) for line in rest.splitlines() if line.strip()]


def test_measured_now_and_shown_from_then_on(invoke: Invoke, measured: list[Path], cache: Path) -> None:
    assert section(invoke("machine").out) == []
    ended = invoke("machine", "--measure")
    assert (ended.code, ended.err) == (0, ""), "a program that reads stderr gets no progress"
    wanted = [
        "measured device cpu torch",
        "host copy 23.4 GB/s Tensor.copy_",
        "disk read unknown not measured: no room",
        "host matmul float32 789 TFLOP/s torch.mm",
        "launch latency 4.10 µs Tensor.neg_",
    ]
    assert section(ended.out) == wanted
    assert measured == [cache]
    later = invoke("machine")
    assert section(later.out) == wanted and measured == [cache]


def test_json_holds_the_ceilings(invoke: Invoke, measured: list[Path]) -> None:
    for arguments in (["machine", "--measure", "--json"], ["machine", "--json"]):
        ended = invoke(*arguments)
        document = json.loads(ended.out)
        assert document["schema"] == 1 and ended.err == ""
        assert [Fact(**row) for row in document["facts"]] == [*DESCRIBED, *MEASURED]
    assert len(measured) == 1


def test_a_damaged_file_is_as_good_as_none(invoke: Invoke, measured: list[Path], cache: Path) -> None:
    invoke("machine", "--measure")
    (file,) = cache.iterdir()
    file.write_text(file.read_text()[:-20])
    ended = invoke("machine")
    assert (ended.code, ended.err) == (0, "") and section(ended.out) == []


def test_a_terminal_is_told_what_is_measured(
    invoke: Invoke, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextlib.contextmanager
    def shown(*, quiet: bool, alone: bool) -> Iterator[Callable[[str], None]]:
        assert alone, "nothing may be drawn by a clock while this process measures"
        yield (lambda _message: None) if quiet else told.append

    monkeypatch.setattr(progress_module, "shown_progress", shown)
    assert invoke("machine", "--measure").code == 0 and told == ["measuring host copy"]
    assert invoke("machine", "--measure", "--json").code == 0 and told == ["measuring host copy"]


def test_ctrl_c_keeps_nothing(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    def interrupted(_folder: Path, _progress: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(ceilings, "measure_ceilings", interrupted)
    ended = invoke("machine", "--measure")
    assert (ended.code, ended.out, ended.err) == (1, "", "llmflame: interrupted\n")
    assert not cache.exists()


def test_what_cannot_be_kept_is_shown(
    invoke: Invoke, measured: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_module, "keep", full)
    ended = invoke("machine", "--measure")
    assert ended.code == 0 and "host copy 23.4 GB/s Tensor.copy_" in section(ended.out)
    assert ended.err.startswith("llmflame: can't keep the ceilings in ") and "No space left" in ended.err
    assert ended.err.count("\n") == 1 and measured


def test_without_torch_nothing_is_measured(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    ended = invoke("machine", "--measure")
    assert (ended.code, ended.out) == (2, "") and "torch is missing" in ended.err
    assert invoke("machine").code == 0


def test_a_real_but_small_measurement(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    sizes = Sizes(host_bytes=2**20, cache_multiple=0, disk_bytes=2**20, host_matmul_sides=(32,), repeats=3)
    whole = ceilings.measure_ceilings
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(ceilings, "measure_ceilings", lambda folder, tell: whole(folder, tell, sizes))
    ended = invoke("machine", "--measure", "--json")
    rows = [row for row in json.loads(ended.out)["facts"] if row["section"] == "ceilings"]
    assert ended.err == "" and {row["name"] for row in rows} < set(UNITS)
    again = json.loads(invoke("machine", "--json").out)["facts"]
    assert [row for row in again if row["section"] == "ceilings"] == rows
    assert [path.suffix for path in cache.iterdir()] == [".json"]


@pytest.mark.parametrize(
    ("amount", "unit", "text"),
    [
        (4.8e12, "bytes/s", "4.80 TB/s"),
        (2.345e10, "bytes/s", "23.4 GB/s"),
        (999_600_000, "bytes/s", "1.00 GB/s"),
        (999, "bytes/s", "999 B/s"),
        (1500, "bytes/s", "1.50 kB/s"),
        (7.89e14, "FLOP/s", "789 TFLOP/s"),
        (1.979e15, "FLOP/s", "1.98 PFLOP/s"),
    ],
)
def test_rates_have_decimal_steps(amount: float, unit: str, text: str) -> None:
    assert human_rate(amount, unit) == text

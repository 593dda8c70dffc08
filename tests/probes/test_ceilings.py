"""The ceilings: what is measured where, and that one measure's failure is not the others'."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
import torch
from torch.overrides import TorchFunctionMode

from llmflame.probes.ceilings import device, device_matmul, disk, host, measure_ceilings
from llmflame.probes.ceilings.names import SECTION, UNITS
from llmflame.probes.ceilings.outcome import NotMeasured, Outcome, fact_of
from llmflame.probes.ceilings.precision import float32_precision
from llmflame.probes.ceilings.sizes import MIB, Sizes, host_buffer_bytes, last_level_cache_bytes
from llmflame.store.model import Fact

SMALL = Sizes(
    host_bytes=MIB,
    cache_multiple=0,
    disk_bytes=2 * MIB,
    host_matmul_sides=(32, 64),
    device_bytes=2 * MIB,
    transfer_bytes=2 * MIB,
    device_matmul_side=256,
    launches=20,
    round_trips=5,
    repeats=3,
    limit_s=0.5,
    warmup_s=0.0,
)
ABOUT = ["measured at", "measured device", "measured threads"]
HOST = ["host copy", "host read", "disk read"]
HOST_MATMUL = ["host matmul float32", "host matmul bfloat16", "host matmul float16"]
ON_HOST = [*ABOUT, *HOST, *HOST_MATMUL]
ON_DEVICE = [name for name in UNITS if name not in ON_HOST]


def silent(_message: str) -> None:
    return None


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def by_name(facts: list[Fact]) -> dict[str, Fact]:
    named = {fact.name: fact for fact in facts}
    assert len(named) == len(facts)
    return named


def assert_measured(fact: Fact) -> None:
    assert isinstance(fact.value, float) and math.isfinite(fact.value) and fact.value > 0, fact


def assert_is_disk(fact: Fact) -> None:
    """Measured, or in a folder that lies in memory."""
    if fact.value is None:
        assert "stays in memory" in fact.source
    else:
        assert_measured(fact)


@pytest.mark.usefixtures("no_cuda")
def test_without_a_device_only_the_host_is_measured(tmp_path: Path) -> None:
    messages: list[str] = []
    facts = measure_ceilings(tmp_path / "not yet", messages.append, SMALL)
    assert [fact.name for fact in facts] == ON_HOST
    assert {fact.section for fact in facts} == {SECTION}
    assert all(fact.unit == UNITS[fact.name] and fact.source for fact in facts)
    named = by_name(facts)
    assert named["measured device"].value == "cpu"
    assert named["measured device"].source == "torch.cuda.is_available(): False"
    assert named["measured threads"].value == 1
    for name in ("host copy", "host read", *HOST_MATMUL):
        assert_measured(named[name])
    assert_is_disk(named["disk read"])
    assert messages == [f"measuring {name}" for name in (*HOST, *HOST_MATMUL)]
    assert list((tmp_path / "not yet").iterdir()) == []


def test_a_broken_driver_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> NoReturn:
        raise RuntimeError("driver\nis gone")

    monkeypatch.setattr(torch.cuda, "is_available", broken)
    assert device.distinct_devices() == ([], "torch.cuda.is_available(): RuntimeError: driver is gone")


@pytest.mark.parametrize("error", [RuntimeError("no such kernel"), MemoryError(), OSError(5, "Bad")])
@pytest.mark.usefixtures("no_cuda")
def test_a_failing_measure_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Exception
) -> None:
    def fail(_sizes: Sizes) -> NoReturn:
        raise error

    monkeypatch.setattr(host, "copy", fail)
    named = by_name(measure_ceilings(tmp_path, silent, SMALL))
    assert named["host copy"].value is None
    assert named["host copy"].unit == "bytes/s" and named["host copy"].source.startswith("not measured: ")
    assert_measured(named["host read"])
    assert_measured(named["host matmul float32"])


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0])
def test_what_is_no_rate_is_unknown(value: float) -> None:
    fact = fact_of("host copy", lambda: Outcome(value, "a clock that stood still"))
    assert fact.value is None and "a clock that stood still" in fact.source


def test_a_reason_is_the_source() -> None:
    def refuse() -> NoReturn:
        raise NotMeasured("there is none")

    wanted = Fact(SECTION, "disk read", None, "bytes/s", "not measured: there is none")
    assert fact_of("disk read", refuse) == wanted


def test_buffers_are_a_share_of_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def available(amount: int) -> None:
        monkeypatch.setattr(psutil, "virtual_memory", lambda: types.SimpleNamespace(available=amount))

    available(64 * MIB)
    assert host_buffer_bytes(Sizes(host_bytes=8 * MIB, cache_multiple=0), buffers=2)[0] == 4 * MIB
    available(8 * MIB)
    with pytest.raises(NotMeasured, match="only 0 MiB of RAM"):
        host_buffer_bytes(Sizes(host_bytes=8 * MIB, cache_multiple=0), buffers=2)


def test_last_level_cache_counts_every_instance(tmp_path: Path) -> None:
    for cpu in range(2):
        for index, (level, size) in enumerate((("2", "2048K"), ("3", "4096K"))):
            folder = tmp_path / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
            folder.mkdir(parents=True)
            values = {"level": level, "type": "Unified", "size": size, "shared_cpu_list": str(cpu)}
            for name, value in values.items():
                (folder / name).write_text(value)
    assert last_level_cache_bytes(tmp_path) == 8 * MIB


def test_filled_buffers_hold_no_zeros() -> None:
    buffer = host.filled(9 * MIB)
    assert buffer.nbytes == 9 * MIB and bool((buffer > 0).all())


def test_a_type_that_is_too_slow_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "_rate", lambda _dtype, _side, _sizes: Outcome(1.0, "a slow one"))
    with pytest.raises(NotMeasured, match="would take"):
        host.matmul(torch.float16, SMALL)


def test_precision_comes_back() -> None:
    before = torch.get_float32_matmul_precision()
    with contextlib.suppress(RuntimeError), float32_precision("high"):
        assert torch.get_float32_matmul_precision() == "high"
        raise RuntimeError
    assert torch.get_float32_matmul_precision() == before


def test_disk_is_read_back(tmp_path: Path) -> None:
    assert_is_disk(disk.disk_fact(tmp_path, SMALL, silent))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def full(_descriptor: int) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    fact = disk.disk_fact(tmp_path, SMALL, silent)
    assert (fact.value, fact.source) == (None, "not measured: no space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_with_little_room_is_left_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: types.SimpleNamespace(free=100 * MIB))
    fact = disk.disk_fact(tmp_path, Sizes(), silent)
    assert (fact.value, fact.source) == (None, "not measured: less than 256 MiB are free")


def test_what_stays_in_memory_is_not_the_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "cached_share", lambda _files: 1.0)
    fact = disk.disk_fact(tmp_path, SMALL, silent)
    assert fact.value is None and "100% of the file stays in memory" in fact.source


def test_an_unverified_drop_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "cached_share", lambda _files: None)
    fact = disk.disk_fact(tmp_path, SMALL, silent)
    assert_measured(fact)
    assert "dropped by posix_fadvise, unverified" in fact.source


def test_a_system_that_cannot_drop_pages_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    fact = disk.disk_fact(tmp_path, SMALL, silent)
    assert fact.value is None and "can't drop a file" in fact.source


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fact = disk.disk_fact(tmp_path / "file" / "below", SMALL, silent)
    assert fact.value is None and fact.source.startswith("not measured: ")


def test_an_interruption_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(disk, "cached_share", lambda _files: 0.0)
    seen: list[list[Path]] = []

    def interrupted(*_arguments: object) -> NoReturn:
        seen.append(list(tmp_path.iterdir()))
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "_read_all", interrupted)
    with pytest.raises(KeyboardInterrupt):
        disk.disk_fact(tmp_path, SMALL, silent)
    assert list(tmp_path.iterdir()) == []
    assert seen == [[]], "not even while it is read the file has a name that a crash could leave behind"


def test_importing_needs_no_torch() -> None:
    code = "import sys, llmflame.probes.ceilings.kept; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


class _Event:
    """A CUDA event that is none: it keeps the host's time."""

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.ns = 0

    def record(self) -> None:
        self.ns = time.perf_counter_ns()

    def synchronize(self) -> None:
        return None

    def elapsed_time(self, end: _Event) -> float:
        return (end.ns - self.ns) / 1e6


class _OnTheCpu(TorchFunctionMode):
    """Makes on the CPU what is asked for on a CUDA device."""

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if kwargs.get("device") == "cuda":
            del kwargs["device"]
        kwargs.pop("pin_memory", None)
        if getattr(function, "__name__", "") == "pin_memory":
            return args[0]
        return function(*args, **kwargs)


@pytest.fixture
def fake_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    replacements: dict[str, Any] = {
        "is_available": lambda: True,
        "device_count": lambda: 3,
        "get_device_name": lambda index: ["GPU A", "GPU A", "GPU B"][index],
        "device": lambda _index: contextlib.nullcontext(),
        "current_device": lambda: 0,
        "get_device_properties": lambda _index: types.SimpleNamespace(L2_cache_size=MIB),
        "get_device_capability": lambda: (9, 0),
        "mem_get_info": lambda: (1024 * MIB, 2048 * MIB),
        "synchronize": lambda: None,
        "empty_cache": lambda: None,
        "Event": _Event,
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    with _OnTheCpu():
        yield


@pytest.mark.usefixtures("fake_device")
def test_a_device_gets_every_fact_of_its_own() -> None:
    messages: list[str] = []
    facts = device.device_facts(0, SMALL, messages.append)
    assert [fact.name for fact in facts] == ON_DEVICE
    assert messages == [f"measuring {name}" for name in ON_DEVICE]
    for fact in facts:
        # the CPU may lack a kernel that only devices have; it has those of the other types
        if fact.name not in ("device matmul float8_e4m3fn", "device matmul int8"):
            assert_measured(fact)
        assert fact.unit == UNITS[fact.name]


@pytest.mark.usefixtures("fake_device")
def test_devices_of_one_name_are_measured_once(tmp_path: Path) -> None:
    facts = measure_ceilings(tmp_path, silent, SMALL)
    first = by_name([fact for fact in facts if fact.section == SECTION])
    second = by_name([fact for fact in facts if fact.section == f"{SECTION} 2"])
    assert len(first) + len(second) == len(facts)
    assert sorted(first) == sorted(UNITS)
    assert sorted(second) == sorted([*ABOUT, *ON_DEVICE])
    assert first["measured device"].value == "GPU A" and second["measured device"].value == "GPU B"
    assert first["measured device"].source.endswith("3 CUDA devices")


@pytest.mark.usefixtures("fake_device")
def test_no_tensorfloat32_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    with pytest.raises(NotMeasured, match="no TensorFloat-32"):
        device_matmul.tfloat32(SMALL)
    monkeypatch.setattr(torch.version, "hip", "7.0")
    with pytest.raises(NotMeasured, match="ROCm"):
        device_matmul.tfloat32(SMALL)


@pytest.mark.usefixtures("fake_device")
def test_a_device_without_free_memory_measures_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2 * MIB, 2048 * MIB))
    named = by_name(device.device_facts(0, SMALL, silent))
    assert named["device copy"].source == "not measured: only 2 MiB of device memory are free"
    assert named["device matmul float32"].source == "not measured: only 2 MiB of device memory are free"
    assert_measured(named["launch latency"])


@pytest.mark.usefixtures("fake_device")
def test_a_slow_type_gets_a_smaller_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_matmul, "LONGEST_S", 0.0)
    outcome = device_matmul.float32(Sizes(device_matmul_side=512, repeats=1, warmup_s=0.0))
    assert "of side 256" in outcome.how

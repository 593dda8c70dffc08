"""Times of tokens, meters that are read around them, and what a step must move."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llmflame.lab.measuring import Timed, timed_request
from llmflame.lab.meters import CpuMeter, CudaMeter
from llmflame.lab.prompt import prompt_ids
from llmflame.lab.step_work import step_work
from llmflame.lab.trial import Reading
from llmflame.scratch.checkpoint import load
from tests.lab import running
from tests.scratch import small


def test_tokens_that_come_together_share_the_time() -> None:
    found = Timed(100, [(150, [[1]]), (190, [[2, 3, 4]]), (200, [[5]])], 260)
    request = found.as_request()
    assert (request.ttft_ns, request.step_ns, request.wall_ns) == (50, [13, 13, 14, 10], 160)
    assert found.rows == [[1, 2, 3, 4, 5]]


def test_a_request_is_timed_after_the_device_has_settled() -> None:
    order = []

    class Engine:
        def request(self, prompt: Any, new_tokens: int, arrived: Any) -> None:
            order.append("run")
            arrived([[7], [8]])

        def forced(self, ids: Any, prompt_tokens: int) -> Any:
            raise AssertionError

    found = timed_request(Engine(), torch.zeros(2, 1), 1, lambda: order.append("settle"))
    assert order == ["settle", "run"] and found.rows == [[7], [8]]
    assert found.begin_ns <= found.arrivals[0][0] <= found.end_ns


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_cpus_meter(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu"
    write(cpu / "cpu0/cpufreq/scaling_cur_freq", "1200000\n")
    write(cpu / "cpu1/cpufreq/scaling_cur_freq", "2400000\n")
    write(cpu / "cpu0/cpufreq/cpuinfo_max_freq", "3600000\n")
    write(tmp_path / "sys/class/thermal/thermal_zone0/temp", "41500\n")
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    write(zone / "name", "package-0\n")
    write(zone / "energy_uj", "9000000\n")
    write(zone / "max_energy_range_uj", "10000000\n")
    write(tmp_path / "sys/class/powercap/intel-rapl:0:0/name", "core\n")
    write(tmp_path / "sys/class/powercap/intel-rapl:0:0/energy_uj", "5\n")
    meter = CpuMeter(tmp_path)
    assert meter.read("before") == Reading("before", 2400.0, 3600.0, 41.5, None)
    assert meter.source == "RAPL"
    before = meter.joules()
    write(zone / "energy_uj", "500000\n")
    after = meter.joules()
    assert before is not None and after is not None
    # The counter began anew after 10 J.
    assert after - before == pytest.approx(1.5)


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    meter = CpuMeter(tmp_path)
    assert meter.read("after") == Reading("after", None, None, None, None)
    assert meter.source is None and meter.joules() is None
    write(tmp_path / "proc/cpuinfo", "cpu MHz\t\t: 2300.5\ncpu MHz\t\t: 2100.0\n")
    assert meter.read("after").clock_mhz == 2300.5


class Refused(Exception):
    pass


def nvml(**answers: Any) -> Any:
    def answer(value: Any) -> Any:
        def ask(*_arguments: Any) -> Any:
            if isinstance(value, Exception):
                raise value
            return value

        return ask

    named = {"nvmlInit": None, "nvmlDeviceGetHandleByUUID": "handle", **answers}
    return SimpleNamespace(
        NVMLError=Refused,
        NVML_CLOCK_SM=1,
        NVML_TEMPERATURE_GPU=0,
        **{name: answer(value) for name, value in named.items()},
    )


def test_a_gpus_meter() -> None:
    meter = CudaMeter(
        nvml(
            nvmlDeviceGetClockInfo=1980,
            nvmlDeviceGetMaxClockInfo=1980,
            nvmlDeviceGetTemperature=44,
            nvmlDeviceGetCurrentClocksThrottleReasons=0x4 | 0x40 | 0x1,
            nvmlDeviceGetTotalEnergyConsumption=12_500,
        ),
        "GPU-1",
    )
    assert meter.read("before") == Reading("before", 1980, 1980, 44, "power cap, temperature (hardware)")
    assert (meter.source, meter.joules()) == ("NVML", 12.5)


def test_a_gpu_that_refuses() -> None:
    no = Refused("not supported")
    meter = CudaMeter(nvml(nvmlDeviceGetTemperature=no, nvmlDeviceGetTotalEnergyConsumption=no), "GPU-1")
    assert meter.read("before") == Reading("before", None, None, None, None)
    assert meter.source is None
    with pytest.raises(OSError, match="no such device"):
        CudaMeter(nvml(nvmlInit=Refused("no such device")), "GPU-1")


@pytest.mark.parametrize("tied", [True, False])
def test_what_a_step_moves(tied: bool, tmp_path: Path) -> None:
    small.write(tmp_path, {**small.LLAMA, "tie_word_embeddings": tied})
    model = load(tmp_path)
    work = step_work(model, batch=3, prompt_tokens=10, new_tokens=20, kv_element=2)
    # 2 layers, width 32, inner 64, 4 heads and 2 of keys of 8, 300 words; 4 frequencies beside.
    layer = 32 * (32 + 16 + 16 + 32 + 3 * 64)
    norms = 5 * 32
    weights = 4 * (2 * layer + norms + 300 * 32 * (1 if tied else 2) + 4)
    assert work.weight_bytes == weights
    kv = 2 * 2 * 2 * 8 * 20 * 3 * 2
    assert work.step_bytes == weights - (0 if tied else 4 * 300 * 32) + kv
    assert work.flop == 2 * 3 * (2 * layer + 300 * 32) + 4 * 2 * 4 * 8 * 20 * 3


def test_fewer_bits_are_fewer_bytes(tmp_path: Path) -> None:
    small.write(tmp_path, running.WIDE)
    plain, eight = running.runner(tmp_path, ()), running.runner(tmp_path, ("int8",))
    sizes = [
        step_work(one.root.model, batch=1, prompt_tokens=1, new_tokens=2, kv_element=4).step_bytes
        for one in (plain, eight)
    ]
    # The embedding, which the 8-bit head no longer shares, is looked up in and not read.
    assert sizes[1] < 0.3 * sizes[0]


def test_prompts_are_cut_and_repeated(tmp_path: Path) -> None:
    small.write(tmp_path, small.LLAMA)
    long = prompt_ids(tmp_path, 3, 200)
    assert long.shape == (3, 200) and torch.equal(prompt_ids(tmp_path, 1, 7)[0], long[0, :7])
    assert torch.equal(long[1, :-1], long[0, 1:])
    text = "Explain in a few"
    assert bytes(prompt_ids(tmp_path, 1, 40)[0, 1:17].tolist())  # ids of a byte tokenizer
    assert long[0, 0] == 298 and len(set(long[0].tolist())) > len(set(text)) // 2

"""What a CUDA device reaches: its memory, its way to the host, its arithmetic, its launches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from llmflame.probes.ceilings import device_matmul, device_memory, launches
from llmflame.probes.ceilings.outcome import Outcome, fact_of
from llmflame.probes.ceilings.sizes import Sizes
from llmflame.probes.machine.outside import why
from llmflame.store.model import Fact

Progress = Callable[[str], None]
Measure = Callable[[Sizes], Outcome]


def distinct_devices() -> tuple[list[tuple[int, str]], str]:
    """Index and name of the first CUDA device of each name, and the source of that.

    Devices of one name reach the same. Where there is none, the source says why.
    """
    source = "torch.cuda.is_available()"
    try:
        if not torch.cuda.is_available():
            return [], f"{source}: False"
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    except Exception as error:
        return [], f"{source}: {why(error)}"
    first = [(index, name) for index, name in enumerate(names) if name not in names[:index]]
    return first, f"torch.cuda.get_device_name(), {len(names)} CUDA device{'s' if len(names) != 1 else ''}"


def device_facts(index: int, sizes: Sizes, progress: Progress) -> list[Fact]:
    """All facts of the CUDA device `index`, in the order of `ceilings.names.UNITS`. Changes no clocks."""
    facts = []
    with torch.cuda.device(index), torch.inference_mode():
        for name, measure in _measures().items():
            progress(f"measuring {name}")
            facts.append(fact_of(name, partial(measure, sizes)))
            _free()
    return facts


def _measures() -> dict[str, Measure]:
    return {
        "device copy": device_memory.copy,
        "device read": device_memory.read,
        "host to device pageable": device_memory.to_device_pageable,
        "host to device pinned": device_memory.to_device_pinned,
        "device to host pinned": device_memory.to_host_pinned,
        "device matmul float32": device_matmul.float32,
        "device matmul tfloat32": device_matmul.tfloat32,
        "device matmul bfloat16": device_matmul.bfloat16,
        "device matmul float16": device_matmul.float16,
        "device matmul float8_e4m3fn": device_matmul.float8_e4m3fn,
        "device matmul int8": device_matmul.int8,
        "launch latency": launches.launch,
        "kernel latency": launches.round_trip,
    }


def _free() -> None:
    # The next measure asks how much memory is free: torch's allocator keeps what it once had.
    try:
        torch.cuda.empty_cache()
    except Exception:
        return

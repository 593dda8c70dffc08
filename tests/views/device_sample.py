"""A made-up run on a GPU: three layers whose kernels, waits and copies hang below their operators."""

from __future__ import annotations

from typing import Any

from llmflame.analysis.tree import Tree
from llmflame.store import metrics
from llmflame.store.model import Frame

LLAMA = "transformers/models/llama/modeling_llama.py"
ADD = (
    "void at::native::vectorized_elementwise_kernel<4, at::native::CUDAFunctor_add<c10::BFloat16>, "
    "std::array<char*, 3ul> >(int, at::native::CUDAFunctor_add<c10::BFloat16>, std::array<char*, 3ul>)"
)
SHORT_ADD = "vectorized_elementwise_kernel<CUDAFunctor_add<BFloat16>>"
METRICS = [
    metrics.WALL,
    metrics.CALLS,
    metrics.HOST,
    metrics.DEVICE,
    metrics.IDLE,
    metrics.COPIED,
    metrics.LOW_OCCUPANCY,
    metrics.FLOPS,
    metrics.READ,
    metrics.WRITTEN,
    metrics.UNKNOWN_WORK,
    metrics.FLOOR,
    metrics.SAMPLES,
]


def device_tree(kernel: str = ADD) -> Tree:
    """run > load; run > decode > forward > three layers, each with a product, an addition and a wait."""
    tree = Tree(metrics=list(METRICS), selfs={metric.name: [] for metric in METRICS})

    def add(parent: int, frame: Frame, **own: float) -> int:
        tree.frames.append(frame)
        tree.node_frames.append(len(tree.frames) - 1)
        tree.parents.append(parent)
        tree.origins.append("scaled")
        for name, column in tree.selfs.items():
            column.append(own.get(name, 0.0))
        return len(tree) - 1

    def host(ns: float, calls: float = 1.0) -> dict[str, float]:
        return {"wall_ns": ns, "host_ns": ns, "gpu_idle_ns": ns, "calls": calls}

    run = add(-1, Frame("run", "run"))
    add(add(run, Frame("phase", "load")), Frame("python", "load", "load.py", 3), **host(4e6))
    decode = add(run, Frame("phase", "decode"))
    forward = add(decode, Frame("python", "forward", LLAMA, 243), **host(1e6))
    for layer in range(3):
        path = f"model.layers.{layer}.mlp"
        module = add(forward, Frame("module", "LlamaMLP", LLAMA, 165, path), **host(2e5))
        work = {"flops": 3e9, "read_bytes": 4e6, "written_bytes": 1e6, "floor_ns": 5e4, "calls": 8.0}
        product = add(module, Frame("op", "aten::mm"), **{**host(1e5), **work})
        launch = add(product, Frame("runtime", "cudaLaunchKernel"), **host(3e5 + layer, 8))
        add(launch, Frame("kernel", "nvjet_sm90_tst_64x8"), wall_ns=2e5, device_ns=2e5, calls=8)
        plus = add(module, Frame("op", "aten::add"), **host(1e5), unknown_work=1)
        launch = add(plus, Frame("runtime", "cudaLaunchKernel"), **host(2e5, 8))
        times = {"wall_ns": 1e5, "device_ns": 1e5, "low_occupancy_ns": 1e5, "calls": 8.0}
        add(launch, Frame("kernel", kernel), **times)
        item = add(module, Frame("op", "aten::item"), **host(5e4))
        copy = {"wall_ns": 2e4, "device_ns": 2e4, "copied_bytes": 4096.0, "calls": 8.0}
        add(item, Frame("copy", "Memcpy DtoH (Device -> Pageable)"), **copy)
        add(item, Frame("wait", "waiting for GPU"), wall_ns=4e4, host_ns=6e4, samples=2)
    return tree


def device_facts() -> dict[str, Any]:
    """What the summary of such a run says beside what every summary does."""
    parts = ("floor", "launch gaps", "synchronisation", "copies", "element-wise", "low occupancy", "other")
    roofline = {
        "phase": "decode",
        "steps": 8,
        "wall_s": 0.08,
        "floor_s": 0.008,
        "parts_s": dict(zip(parts, (0.008, 0.05, 0.004, 0.002, 0.01, 0.006, 0.0), strict=True)),
        "known_share": 0.99,
        "mfu": 0.012,
        "mfu_published": 0.009,
        "mbu": 0.1,
        "mbu_published": 0.08,
    }
    return {
        "checks": [
            {"name": "launches", "passed": True, "words": "48 launches"},
            {"name": "allocator", "passed": None, "words": "not read"},
        ],
        "device": {
            "busy_s": 0.026,
            "idle_s": 0.054,
            "idle_share": 0.675,
            "idle_by_cause_s": {"synchronisation": 0.004, "launch-bound Python": 0.05, "copy": 0.0},
        },
        "roofline": [roofline],
        "findings": [finding()],
    }


def finding(number: int = 1, **changes: object) -> dict[str, Any]:
    """One finding, as the summary has it."""
    return {
        "name": f"finding-{number}",
        "title": f"The GPU waits for Python {number}",
        "scope": "request",
        "gain_s": 0.054,
        "gain_share": 0.675,
        "evidence": ["the GPU is idle for 54 ms of 80 ms"],
        "change": "Launch a step as one",
        "variant": "compile-reduce-overhead",
        "frames": ["decode › model.layers.*.mlp › aten::mm", f"decode › forward ({LLAMA}:243)"],
        **changes,
    }

"""How long a prompt takes in our own C++ and in torch's products of matrices: which is faster from where on.

    python benchmarks/lab_prefill.py

The demo's decoder with fused projections on the CPU; both ways in turns on the same weights, medians of
seven. Writes `results/lab-prefill.json` and `.md`; `LONGEST_PROMPT` in `lab/kernels/cpu_step.py` follows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch
from torch import Tensor

from benchmarks.overhead import RESULTS, describe
from llmflame.atomic import write_atomically
from llmflame.lab.caches.static import StaticCache
from llmflame.lab.kernels.cpu_step import CpuStep
from llmflame.lab.scratch_runner import last
from llmflame.lab.variants.registry import chosen
from llmflame.lab.variants.setup import Room, ScratchSetup
from llmflame.scratch import checkpoint
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
ROUNDS = 7
VARIANTS = ("static-cache", "fused-projections", "fused-kernels")


def measure(folder: Path, dtype: str) -> list[dict[str, Any]]:
    """By length of the prompt."""
    setup = ScratchSetup("cpu", dtype, 1, None, LENGTHS[-1], 1)
    for variant in chosen(VARIANTS):
        variant.apply["scratch"](setup)
    model = checkpoint.load(folder, dtype, "cpu")
    setup.apply_changes(model)
    cache = StaticCache(model, 1, LENGTHS[-1] + 1)
    room = Room(model, cache, torch.zeros(1, dtype=torch.long), cache.capacity)
    ours, torchs = CpuStep(room), last(room)
    rows = []
    for length in LENGTHS:
        prompt = torch.randint(1, model.config.vocabulary, (1, length), generator=torch.manual_seed(length))
        times: dict[str, list[float]] = {"ours_ms": [], "torch_ms": []}
        logits: dict[str, Tensor] = {}
        for _ in range(ROUNDS):
            for name, step in (("ours_ms", ours.last), ("torch_ms", torchs)):
                cache.truncate(0)
                begin = time.perf_counter()
                logits[name] = step(prompt)[0].float().clone()
                times[name].append((time.perf_counter() - begin) * 1e3)
        delta = (logits["ours_ms"] - logits["torch_ms"]).abs().max() / logits["torch_ms"].abs().max()
        rows.append({"dtype": dtype, "tokens": length, "delta": float(delta)}
                    | {name: median(found) for name, found in times.items()})  # fmt: skip
    return rows


@torch.inference_mode()
def main() -> None:
    folder = resolve("demo", progress=silent).folder
    head = describe(["python", "benchmarks/lab_prefill.py"])
    rows = [row for dtype in ("float32", "bfloat16") for row in measure(folder, dtype)]
    lines = [
        "# Prompts in our own C++ and in torch",
        "",
        *(f"- {name}: {value}" for name, value in head.items()),
    ]
    lines += [
        "",
        "The demo model, one sequence. The last token's logits differ by at most a share of the largest.",
        "",
    ]
    lines += ["| dtype | tokens | ours, ms | torch, ms | differ by |", "|---|---|---|---|---|"]
    for row in rows:
        figures = f"{row['ours_ms']:.1f} | {row['torch_ms']:.1f} | {row['delta']:.1g}"
        lines.append(f"| {row['dtype']} | {row['tokens']} | {figures} |")
    target = RESULTS / "lab-prefill.json"
    write_atomically(target, json.dumps(head | {"rows": rows}, indent=1) + "\n")
    write_atomically(target.with_suffix(".md"), "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""Planted faults: is each the first finding, and does its bound hold when the fault is taken out again?

    python benchmarks/gpu_faults.py OUT.json [--small] [--again FOLDER ...]

One process imports the libraries and forks a child for each run, so that each has a device of its own. The
model is so wide that reading its weights takes longer than launching its kernels, and its loop so short that
in good health the device is never idle for long: nothing is found. (A batch that makes matrix products the
limit won't do: they draw all the power that a card may have, and idle time lets its clocks rise again.)
`--small` runs the same on a CPU to see that the script works; what it finds there means nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.gpu_model import Request, build, greedy, record
from llmflame.analysis.summary import summarise
from llmflame.store.profile import read_profile

REPETITIONS = 7
COPY_BYTES = 256 << 20
LOOP_NS = 3_000_000
TRIAL_ROUNDS = 20_000
TIMEOUT_S = 180


LONG_STEPS = Request(batch_size=8, prompt_tokens=16, new_tokens=33)


@dataclass(frozen=True, slots=True)
class Run:
    """One model and request, healthy or with a fault."""

    layers: int = 8
    request: Request = LONG_STEPS
    dtype: str = "bfloat16"
    attention: str = "sdpa"
    plant: str | None = None
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """A run with a fault, the same without it, and what should be found."""

    healthy: Run
    faulty: Run
    expected: str


DECODE = Run()
PREFILL = Run(layers=4, request=Request(batch_size=4, prompt_tokens=2048, new_tokens=2))
SHORT = Run(layers=4)
FAULTS = {
    "item per layer": Fault(DECODE, Run(plant="item"), "waits-in-the-model"),
    "pageable 256 MB copy per step": Fault(DECODE, Run(plant="copy"), "pageable-copies"),
    "float32 weights": Fault(SHORT, Run(layers=4, dtype="float32"), "wide-weights"),
    "eager attention": Fault(
        PREFILL, Run(layers=4, request=PREFILL.request, attention="eager"), "unfused-attention"
    ),
    "3 ms Python loop between steps": Fault(DECODE, Run(plant="loop"), "own-code-between-steps"),
    "CUDA_LAUNCH_BLOCKING=1": Fault(
        DECODE, Run(environment=(("CUDA_LAUNCH_BLOCKING", "1"),)), "blocking-launches"
    ),
}


def config(layers: int, *, small: bool) -> dict[str, Any]:
    """A Llama as wide as a 405B one, of few layers and a small vocabulary."""
    width, heads = (256, 4) if small else (16384, 128)
    return {
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": 2 * width if small else 57344,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 4,
        "head_dim": width // heads,
        "vocab_size": 4096,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
    }


def plant_item(model: Any) -> dict[str, Any]:
    """A number read back from the device before each layer."""

    def read_back(_module: Any, args: Any) -> None:
        args[0].flatten()[0].item()

    for layer in model.model.layers:
        layer.register_forward_pre_hook(read_back)
    return {}


def plant_copy(model: Any) -> dict[str, Any]:
    """Ordinary memory copied to the device in each call of the model."""
    import torch

    host = torch.randint(0, 255, (COPY_BYTES,), dtype=torch.uint8)
    device = next(model.parameters()).device

    def copy(*_: Any) -> None:
        host.to(device)

    model.model.register_forward_pre_hook(copy)
    return {}


def busy(rounds: int) -> int:
    """Python that calls nothing."""
    total = 0
    for number in range(rounds):
        total += number & 3
    return total


def plant_loop(_model: Any) -> dict[str, Any]:
    """A Python loop of about 3 ms between the steps."""
    times = []
    for _ in range(9):
        begin = time.perf_counter_ns()
        busy(TRIAL_ROUNDS)
        times.append(time.perf_counter_ns() - begin)
    rounds = round(TRIAL_ROUNDS * LOOP_NS / median(times))
    return {"between": lambda: busy(rounds)}


PLANTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "item": plant_item,
    "copy": plant_copy,
    "loop": plant_loop,
}


def measure(run: Run, output: Path, small: bool, pipe: Any) -> None:
    """Record one run in this process and send its summary."""
    os.environ.update(dict(run.environment))
    try:
        device = "cpu" if small else "cuda"
        request = Request(2, 8, 4) if small else run.request
        layers = 2 if small else run.layers
        dtype = run.dtype
        model = build(config(layers, small=small), dtype=dtype, device=device, attention=run.attention)
        options = PLANTS[run.plant](model) if run.plant is not None else {}
        begin = time.perf_counter()
        profile = record(
            model,
            request,
            greedy(model, request, **options),
            output,
            repetitions=1 if small else REPETITIONS,
            checkpoint_dtype="bfloat16",
        )
        summary = summarise(profile)
        pipe.send(
            {
                "e2e_ms": summary["latency"]["e2e_ms"],
                "tpot_ms": summary["latency"]["tpot_ms"],
                "device": summary["device"],
                "findings": summary["findings"],
                "checks": summary["checks"],
                "roofline": summary["roofline"],
                "seconds": time.perf_counter() - begin,
            }
        )
    except BaseException as error:
        pipe.send({"error": f"{type(error).__name__}: {error}"})
        raise


def in_child(run: Run, output: Path, small: bool) -> dict[str, Any]:
    """The same in a forked process; the profile stays at `output`."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=measure, args=(run, output, small, theirs))
    child.start()
    theirs.close()
    try:
        result = ours.recv() if ours.poll(TIMEOUT_S) else {"error": f"no answer in {TIMEOUT_S} s"}
    except EOFError:
        result = {"error": "died"}
    child.join(5)
    if child.is_alive():
        child.kill()
    return dict(result)


def judge(name: str, fault: Fault, healthy: dict[str, Any], faulty: dict[str, Any]) -> dict[str, Any]:
    """What was found, and how far its bound is from what taking the fault out really gained."""
    row: dict[str, Any] = {"fault": name, "expected": fault.expected}
    if "error" in healthy or "error" in faulty:
        return row | {"error": healthy.get("error") or faulty.get("error")}
    found = faulty["findings"]
    own = next((one for one in found if one["name"] == fault.expected), None)
    gained = (faulty["e2e_ms"] - healthy["e2e_ms"]) / 1e3
    return row | {
        "first": found[0]["name"] if found else None,
        "found_first": bool(found) and found[0]["name"] == fault.expected,
        "bound_s": own["gain_s"] if own else None,
        "gained_s": gained,
        "bound_over_gained": own["gain_s"] / gained if own and gained else None,
        "healthy_e2e_ms": healthy["e2e_ms"],
        "faulty_e2e_ms": faulty["e2e_ms"],
        "others": [(one["name"], one["gain_s"]) for one in found if one["name"] != fault.expected],
        "evidence": own["evidence"] if own else [],
    }


def again(folder: Path) -> list[dict[str, Any]]:
    """The rows of an earlier run, judged anew from its profiles: recordings stay, rules change."""
    rows = []
    for row in json.loads((folder / "faults.json").read_text())["faults"]:
        summary = summarise(read_profile(folder / f"{row['fault'].replace(' ', '-')}.llmflame"))
        healthy, faulty = {"e2e_ms": row["healthy_e2e_ms"]}, {"e2e_ms": row["faulty_e2e_ms"]}
        faulty |= {"findings": summary["findings"], "device": summary["device"]}
        rows.append(judge(row["fault"], FAULTS[row["fault"]], healthy, faulty))
    return rows


def main() -> int:
    """Run all, or those named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(FAULTS), choices=list(FAULTS))
    parser.add_argument("--again", type=Path, nargs="+", default=[], help="judge earlier runs' profiles anew")
    options = parser.parse_args()
    if options.again:
        rows = [row for folder in options.again for row in again(folder)]
        options.output.write_text(json.dumps({"faults": rows}, indent=1) + "\n")
        for row in rows:
            print(json.dumps(row))
        return 0
    import transformers.models.llama.modeling_llama  # noqa: F401  once, before the forks

    healthy: dict[Run, dict[str, Any]] = {}
    rows = []
    for name in options.only:
        fault = FAULTS[name]
        if fault.healthy not in healthy:
            output = options.output.with_name(f"healthy-{len(healthy)}.llmflame")
            healthy[fault.healthy] = in_child(fault.healthy, output, options.small)
        output = options.output.with_name(f"{name.replace(' ', '-')}.llmflame")
        faulty = in_child(fault.faulty, output, options.small)
        row = judge(name, fault, healthy[fault.healthy], faulty)
        rows.append(row | {"seconds": faulty.get("seconds")})
        print(json.dumps(rows[-1]), flush=True)
    document = {
        "healthy": [
            {"run": str(run), **{k: v for k, v in result.items() if k != "roofline"}}
            for run, result in healthy.items()
        ],
        "faults": rows,
    }
    options.output.write_text(json.dumps(document, indent=1) + "\n")
    for run, result in healthy.items():
        print("healthy", run, [one["name"] for one in result.get("findings", [])], result.get("e2e_ms"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Are peaks explained, caches and weights counted exactly, planted faults found, predictions right?

    python benchmarks/memory_check.py OUT.json [--device cuda] [--only NAME ...] [--keep FOLDER]

Each case is a live model with random weights in a process of its own, recorded as a person would record
it. On a CPU the demo's architecture stands in for Llama-3.2-1B.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.gpu_model import Request, build, generate, record, shape
from benchmarks.memory_table import page
from llmflame.analysis.findings import find
from llmflame.analysis.memory.composition import compositions
from llmflame.analysis.memory.growth import asked_for, growth
from llmflame.analysis.memory.moments import moments
from llmflame.analysis.memory.prediction import compare
from llmflame.analysis.memory.stack import stack_of
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store import categories, metrics
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import Space

MIB = 1024 * 1024
LEAK_BYTES = MIB
TEMPORARY_BYTES = 64 * MIB
PINNED_BYTES = 64 * MIB
CULPRIT = "model.layers.3.mlp"
ROTARY_BYTES = 2 * 32 * 4
"""Of the demo: two float32 buffers of half a head's size, which are no parameters."""
TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Case:
    """A request, and what is planted in it."""

    request: Request
    options: dict[str, Any] = field(default_factory=dict)
    plant: str | None = None


STATIC = {"cache_implementation": "static", "disable_compile": True}
CASES: dict[str, Case] = {
    "eager": Case(Request(1, 16, 64)),
    "static cache": Case(Request(1, 16, 64), STATIC),
    "batch 8": Case(Request(8, 16, 64)),
    "context 4096": Case(Request(1, 4096, 24)),
    "batch 8 x 4096": Case(Request(8, 4096, 8)),
    "leak": Case(Request(1, 16, 24), plant="leak"),
    "temporary": Case(Request(1, 16, 8), plant="temporary"),
    "pinned": Case(Request(1, 16, 8), plant="pinned"),
}
DEMO = {
    "demo float32": ("float32", 1, None, 64),
    "demo bfloat16": ("bfloat16", 1, None, 64),
    "demo float32, batch 4 x 1024": ("float32", 4, 1024, 8),
}
"""The demo by name, from import to the last token, on the CPU; and what `llmflame plan` says of it."""
ON_CPU = (*DEMO, "eager", "static cache", "batch 8", "leak", "temporary")
"""What a CPU does in a minute, and has."""


def planted(name: str, original: Callable[[Any], Any], kept: list[Any]) -> Callable[[Any], Any]:
    """A module's forward call with a fault."""
    import torch

    def forward(hidden: Any) -> Any:
        if name == "leak":
            kept.append(torch.zeros(LEAK_BYTES, dtype=torch.uint8, device=hidden.device))
        elif name == "pinned":
            kept.append(torch.empty(PINNED_BYTES, dtype=torch.uint8, pin_memory=True))
        elif name == "temporary":
            scratch = torch.zeros(TEMPORARY_BYTES, dtype=torch.uint8, device=hidden.device)
            return original(hidden) + scratch[0].to(hidden.dtype)
        return original(hidden)

    return forward


def measure(name: str, device: str, dtype: str, output: Path) -> dict[str, Any]:
    """Record one case and look at it."""
    import torch

    case = CASES[name]
    config = shape("llama-3.2-1b")
    if device == "cpu":  # SmolLM2-135M's shape
        config |= {
            "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
            "num_key_value_heads": 3, "head_dim": 64, "vocab_size": 49152,
        }  # fmt: skip
    model = build(config, dtype=dtype, device=device)
    if device != "cpu":
        # The head that is made, tied and dropped while a model is built: no checkpoint's load leaves that.
        torch.cuda.empty_cache()
    kept: list[Any] = []
    if case.plant is not None:
        module = model.get_submodule(CULPRIT)
        module.forward = planted(case.plant, module.forward, kept)
    begin = time.perf_counter()
    run = generate(model, case.request, **case.options)
    profile = record(model, case.request, run, output, repetitions=2)
    took_s = time.perf_counter() - begin
    parameters = {id(p): p.nbytes for p in model.parameters()}
    buffers = {b.data_ptr(): b.nbytes for b in model.buffers()}
    found = judged(profile, case, sum(parameters.values()) + sum(buffers.values()), "cuda" in device)
    if device != "cpu" and case.plant is None:
        found["plan"] = plan("dummy:llama-3.2-1b", device, dtype, case.request, found["phases"])
    return {
        "case": name,
        "device": device,
        "dtype": dtype,
        "torch": torch.__version__,
        "request": asdict(case.request),
        "recorded_s": took_s,
        "file_bytes": output.stat().st_size,
        **found,
    }


def measure_demo(
    dtype: str, batch_size: int, prompt_tokens: int | None, new_tokens: int, output: Path
) -> dict[str, Any]:
    """A profile of the demo by the command line, and a plan of the same request."""
    options = ["--dtype", dtype, "--device", "cpu", "--new-tokens", str(new_tokens)]
    llmflame = [sys.executable, "-m", "llmflame"]
    given = ["--prompt-tokens", str(prompt_tokens)] if prompt_tokens is not None else []
    given += ["--batch-size", str(batch_size), "--repetitions", "2"]
    begin = time.perf_counter()
    subprocess.run([*llmflame, "profile", "demo", *options, *given, "-o", str(output), "--force"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    took_s = time.perf_counter() - begin
    profile = read_profile(output)
    prompt = int(profile.subject["prompt_tokens"])
    request = Request(batch_size, prompt, new_tokens)
    weight_bytes = int(profile.subject["weights_in_memory_bytes"]) + ROTARY_BYTES
    found = judged(profile, Case(request), weight_bytes, on_device=False)
    found["plan"] = plan("demo", "cpu", dtype, request, found["phases"])
    size = output.stat().st_size
    return {
        "case": f"demo {dtype}, batch {batch_size} x {prompt}",
        "dtype": dtype,
        "request": asdict(request),
        "recorded_s": took_s,
        "file_bytes": size,
        **found,
    }


def plan(
    model: str, device: str, dtype: str, request: Request, phases: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What `llmflame plan` says of the same request, beside what was measured."""
    command = [sys.executable, "-m", "llmflame", "plan", model, "--device", device, "--dtype", dtype]
    command += ["--batch", str(request.batch_size), "--context", str(request.prompt_tokens)]
    command += ["--new-tokens", str(request.new_tokens), "--json"]
    planned = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    space = "host" if device == "cpu" else "device"
    measured = {one["phase"]: one["peak_bytes"] for one in phases if one["space"] == space}
    return [
        {
            "phase": phase["phase"],
            "planned_bytes": phase["total_bytes"],
            "measured_bytes": measured[phase["phase"]],
            "error": phase["total_bytes"] / measured[phase["phase"]] - 1,
        }
        for phase in json.loads(planned.stdout)["phases"]
        if phase["phase"] in measured
    ]


def judged(profile: Profile, case: Case, weight_bytes: int, on_device: bool) -> dict[str, Any]:
    """What the profile says, beside what it must say."""
    space: Space = "device" if on_device else "host"
    found = compositions(profile)
    end = moments(profile).find("memory", "decode", "end")
    assert end is not None
    request = case.request
    tokens = request.prompt_tokens + request.new_tokens - 1
    per_token = profile.subject["kv_layer_bytes_per_token"] * profile.subject["layers"]
    seen: dict[str, Any] = {
        "kv_cache_bytes": end.readings["kv_cache_bytes"],
        "kv_cache_by_formula": per_token * tokens * request.batch_size,
        "weight_bytes": end.readings["weight_bytes"],
        "weight_bytes_by_hand": weight_bytes,
        "readings": end.readings,
        "phases": [
            {
                "phase": one.phase,
                "space": one.space,
                "peak_bytes": one.peak_bytes,
                "residual_share": one.residual_share,
                "other_processes_bytes": one.others_bytes,
                "parts": dict(one.parts),
            }
            for one in found
        ],
        "predictions": [asdict(row) | {"error": row.error} for row in compare(profile, found)],
        "growth": [asdict(one) | {"left": one.left[:3]} for one in growth(profile)],
        "findings": [one.name for one in find(profile, build_run_tree(profile)) if one.scope == "memory"],
    }
    if case.plant is not None:
        seen["planted"] = _found(profile, case.plant, space)
    return seen


def _found(profile: Profile, plant: str, space: Space) -> dict[str, Any]:
    """The heaviest stack of the kind that was planted."""
    if plant == "leak":
        (one,) = [one for one in growth(profile) if one.space == space]
        node, size = one.left[0] if one.left else (None, 0.0)
        slope, wanted = one.unexplained_bytes_per_step, LEAK_BYTES
    elif plant == "pinned":
        found = asked_for(profile, metrics.PINNED.name)
        windows = sum(row.kind == "traced" and row.step is not None for row in profile.windows)
        # Prefill and decode are places of their own in the tree, the planted line stands in both.
        mine = [size for node, size in found if any("memory_check.py" in f for f in stack_of(profile, node))]
        node, size = (found[0][0], sum(mine) / windows) if found else (None, 0.0)
        slope, wanted = None, PINNED_BYTES
    else:
        metric = metrics.HELD if space == "host" else metrics.DEVICE_HELD
        numbers = {number for number, known in profile.metrics.items() if known.name == metric.name}
        cells = [cell for cell in profile.cells if cell.metric in numbers and _category(profile, cell.node)]
        heaviest = max(cells, key=lambda cell: cell.value, default=None)
        node, size = (heaviest.node, heaviest.value) if heaviest is not None else (None, 0.0)
        slope, wanted = None, TEMPORARY_BYTES
    stack = stack_of(profile, node) if node is not None else []
    return {
        "wanted_bytes": wanted,
        "found_bytes": size,
        "slope_bytes_per_step": slope,
        "in_the_module": any(CULPRIT in frame for frame in stack),
        "in_the_function": any("memory_check.py" in frame for frame in stack),
        "stack": stack[-6:],
    }


def _category(profile: Profile, node: int) -> bool:
    return profile.frames[profile.nodes[node].frame].name == categories.TEMPORARIES


def in_child(name: str, options: argparse.Namespace, folder: Path, pipe: Any) -> None:
    """One case in this process; what came of it goes through the pipe."""
    try:
        output = folder / f"{name.replace(' ', '-')}.llmflame"
        if name in DEMO:
            pipe.send(measure_demo(*DEMO[name], output))
        else:
            pipe.send(measure(name, options.device, options.dtype, output))
    except BaseException:
        pipe.send({"case": name, "failed": traceback.format_exc()[-3000:]})


def main() -> int:
    """Run the cases, one after the other, and write what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--only", nargs="*", default=None)
    parser.add_argument("--keep", type=Path, default=None, help="keep the profiles in this folder")
    options = parser.parse_args()
    options.dtype = options.dtype or ("float32" if options.device == "cpu" else "bfloat16")
    names = options.only or (ON_CPU if options.device == "cpu" else tuple(CASES))
    context = multiprocessing.get_context("spawn")
    results = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            mine, other = context.Pipe(duplex=False)
            child = context.Process(target=in_child, args=(name, options, folder, other))
            child.start()
            other.close()
            try:
                result = mine.recv() if mine.poll(TIMEOUT_S) else {"case": name, "failed": "took too long"}
            except EOFError:
                result = {"case": name, "failed": "the process ended"}
            child.kill() if "failed" in result else None
            child.join()
            results.append(result)
            options.out.write_text(json.dumps(results, indent=1))
            options.out.with_suffix(".md").write_text(page("What memory is made of", _header(), results))
            print(_line(result), flush=True)
    return 1 if any("failed" in result for result in results) else 0


def _header() -> dict[str, Any]:
    """What this machine is, and what was run."""
    import torch

    from benchmarks.overhead import describe

    device = {"device": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return describe(["python", "benchmarks/memory_check.py", *map(_shown, sys.argv[1:])]) | device


def _shown(argument: str) -> str:
    return Path(argument).name if "/" in argument else argument


def _line(result: dict[str, Any]) -> str:
    if "failed" in result:
        return f"{result['case']}: {result['failed']}"
    worst = max((one["residual_share"] for one in result["phases"]), default=None)
    totals = [
        f"{row['phase']} {row['error']:+.1%}" for row in result["predictions"] if row["category"] == "total"
    ]
    planned = [f"{one['phase']} {one['error']:+.1%}" for one in result.get("plan", [])]
    return (
        f"{result['case']}: residual at most {worst:.2%}; "
        f"KV {result['kv_cache_bytes']} of {result['kv_cache_by_formula']}; "
        f"weights {result['weight_bytes']} of {result['weight_bytes_by_hand']}; "
        f"predicted {', '.join(totals)}; "
        f"planned {', '.join(planned)}; "
        f"{result.get('planted', '')} {result['findings']}"
    )


if __name__ == "__main__":
    sys.exit(main())

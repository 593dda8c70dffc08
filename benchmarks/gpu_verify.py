"""Is what a profile says of the device true? Against a raw trace, against a calculation by hand."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.gpu_model import Request, build, generate, record, shape
from llmflame.analysis.phases import phase_spans, representative_repetition, steps
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.store.profile import Profile

CASES = {
    "llama-3.2-1b": ("llama-3.2-1b", Request(1, 16, 128)),
    "llama-3.1-8b": ("llama-3.1-8b", Request(1, 16, 128)),
    "llama-3.2-1b batch 8 x 512": ("llama-3.2-1b", Request(8, 512, 2)),
    "llama-3.1-8b batch 8 x 512": ("llama-3.1-8b", Request(8, 512, 2)),
}
RAW_STEPS = (1, 8, 64)


def verify(case: str, device: str, dtype: str, folder: Path) -> dict[str, Any]:
    """Record one case and compare."""
    name, request = CASES[case]
    config = shape(name)
    model = build(config, dtype=dtype, device=device)
    run = generate(model, request)
    output = folder / f"{case.replace(' ', '-')}.llmflame"
    profile = record(model, request, run, output, repetitions=5)
    summary = summarise(profile)
    return {
        "case": case,
        "file_bytes": output.stat().st_size,
        "tpot_ms": summary["latency"]["tpot_ms"],
        "device": summary["device"],
        "roofline": summary["roofline"],
        "findings": [(one["name"], one["gain_s"], one["gain_share"]) for one in summary["findings"]],
        "checks": summary["checks"],
        "cost": summary["cost"],
        "conservation": conservation(profile),
        "by_hand": by_hand(config, request, profile, summary),
        "raw": compare_raw(profile, raw_steps(model, run), request),
    }


def conservation(profile: Profile) -> dict[str, float]:
    """By phase: the wall tree over the measured wall."""
    tree = build_run_tree(profile).tree
    totals = tree.totals("wall_ns")
    walls = {tree.frame(node).name: totals[node] for node, parent in enumerate(tree.parents) if parent == 0}
    return {span.name: walls[span.name] / span.wall_ns for span in phase_spans(profile) if span.wall_ns}


def by_hand(
    config: dict[str, Any], request: Request, profile: Profile, summary: dict[str, Any]
) -> list[dict[str, Any]]:
    """MBU and MFU from the published formulas for a dense Llama with grouped-query attention.

    Weights read a step: w (L [D (H + 2K) d + H d D + 3 D I + 2 D] + D + V D) and the embedding's rows. KV:
    2 L K d k a token. FLOPs: 2 B T a weight of the layers, 2 B D V for the last token's logits, attention
    4 L H d over the pairs that a causal mask keeps.
    """
    layers, width, inner = config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]
    heads, kv_heads, vocabulary = (
        config["num_attention_heads"],
        config["num_key_value_heads"],
        config["vocab_size"],
    )
    size = config.get("head_dim") or width // heads
    element = {"float32": 4}.get(str(profile.subject["dtype"]), 2)
    matrices = layers * (width * (heads + 2 * kv_heads) * size + heads * size * width + 3 * width * inner)
    norms = layers * 2 * width + width
    batch = request.batch_size
    spans = {span.name: span for span in phase_spans(profile)}
    members = steps(profile, repetition=representative_repetition(profile))
    found = []
    for row in summary["roofline"]:
        own = [step for step in members if step.parent == spans[row["phase"]].id]
        weights = kv = flops = 0.0
        for step in own:
            tokens = request.prompt_tokens if step.step == 0 else 1
            before = 0 if step.step == 0 else request.prompt_tokens + (step.step or 0) - 1
            weights += element * (matrices + norms + vocabulary * width + batch * tokens * width)
            kv += 2 * layers * kv_heads * size * element * batch * (before + tokens)
            pairs = tokens * before + tokens * (tokens + 1) / 2
            flops += 2 * batch * tokens * matrices + 2 * batch * width * vocabulary
            flops += 4 * layers * heads * size * pairs * batch
        bytes_per_s, flop_per_s = _ceilings(profile)
        mbu = (weights + kv) / row["wall_s"] / bytes_per_s if bytes_per_s else None
        mfu = flops / row["wall_s"] / flop_per_s if flop_per_s else None
        found.append(
            {
                "phase": row["phase"],
                "mbu": mbu,
                "mfu": mfu,
                "mbu_ratio": row["mbu"] / mbu if mbu and row["mbu"] else None,
                "mfu_ratio": row["mfu"] / mfu if mfu and row["mfu"] else None,
                "weights_ratio": row["weight_bytes"] / weights,
                "flops_ratio": row["flops"] / flops,
            }
        )
    return found


def _ceilings(profile: Profile) -> tuple[float | None, float | None]:
    known = {fact.name: fact.value for fact in profile.machine if fact.section == "ceilings"}
    where = "host" if str(profile.subject["device"]) == "cpu" else "device"
    rates = [v for name in ("copy", "read") if isinstance(v := known.get(f"{where} {name}"), int | float)]
    flop = known.get(f"{where} matmul {profile.subject['dtype']}")
    return max(rates, default=None), flop if isinstance(flop, int | float) else None


def raw_steps(model: Any, run: Any) -> dict[int, dict[str, float]]:
    """Kernels, copies and fills of each step by torch.profiler alone: one session over the whole request.

    Steps are told apart by a range that a hook of ours opens at each call of the model; what a step launched
    is found by correlation id.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile

    count = iter(range(1_000_000))

    def mark(*_: Any) -> None:
        with torch.profiler.record_function(f"raw step {next(count)}"):
            pass

    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    handle = model.register_forward_pre_hook(mark)
    with torch.no_grad(), profile(activities=activities) as session:
        run()
    handle.remove()
    events = session.profiler.kineto_results.events()
    starts = sorted(
        (event.start_ns(), int(event.name().rsplit(" ", 1)[1]))
        for event in events
        if event.name().startswith("raw step ") and str(event.device_type()).endswith("CPU")
    )
    launched: dict[int, int] = {}
    for event in events:
        if (
            str(event.device_type()).endswith("CPU")
            and event.correlation_id()
            and event.name().startswith("cu")
        ):
            launched[event.correlation_id()] = event.start_ns()
    found: dict[int, dict[str, float]] = defaultdict(lambda: {"works": 0, "device_ns": 0})
    for event in events:
        if str(event.device_type()).endswith("CPU") or event.name() == "[memory]":
            continue
        if event.name().startswith("raw step "):
            continue
        at = launched.get(event.correlation_id())
        before = [number for start, number in starts if at is not None and start <= at]
        if before:
            found[before[-1]]["works"] += 1
            found[before[-1]]["device_ns"] += event.duration_ns()
    return found


def compare_raw(profile: Profile, raw: dict[int, dict[str, float]], request: Request) -> list[dict[str, Any]]:
    """By traced step: how many works and how much device time, here and in the raw trace."""
    rows = []
    for window in profile.windows:
        if window.kind != "traced" or window.step not in RAW_STEPS or window.step >= request.new_tokens:
            continue
        works = [work for work in profile.device_work if work.window == window.id]
        own = sum(work.end_ns - work.start_ns for work in works)
        other = raw.get(window.step, {"works": 0, "device_ns": 0})
        rows.append(
            {
                "step": window.step,
                "works": len(works),
                "raw_works": other["works"],
                "device_ns": own,
                "raw_device_ns": other["device_ns"],
                "ratio": own / other["device_ns"] if other["device_ns"] else None,
            }
        )
    return rows


def copy_bandwidth() -> dict[str, float]:
    """A plain torch copy of 4 GiB on the device, by CUDA events: bytes read and written a second."""
    import torch

    source = torch.randint(0, 255, (1 << 32,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = []
    for _ in range(12):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return {"bytes_per_s": 2 * source.numel() / median(times[2:])}


def main() -> int:
    """One case by its name; JSON to standard output."""
    case, device, dtype, folder = sys.argv[1:5]
    result = verify(case, device, dtype, Path(folder))
    if device == "cuda":
        result["plain_copy"] = copy_bandwidth()
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())

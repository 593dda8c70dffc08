"""Do sampled stalls say what is true, and what do they cost?

    python benchmarks/gpu_stalls.py planted OUT.json
    python benchmarks/gpu_stalls.py cost OUT.json [MODEL]
    python benchmarks/gpu_stalls.py agree OUT.json [MODEL]

`planted`: Triton kernels held up by one thing each; is that the dominant group? `cost`: requests without
and with sampling in turns. `agree`: the same decode step under Nsight Compute; of the ten kernels with the
most time: are the three largest reasons the same, and how far apart is the largest share? A model of `agree`
has two layers of the real one's width: its kernels' shapes are the real ones.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.gpu_model import Request, build, generate, shape

PAIRS = 7
REQUEST = Request(1, 16, 128)
AGREE_LAYERS = 2
AGREE_STEPS = 200
"""Sampled here; Nsight Compute replays the kernels of one."""
HOTTEST = 10
TOP = 3
NCU_TIMEOUT_S = 170
METRICS = "group:smsp__pcsamp_warp_stall_reasons,gpu__time_duration.sum"


def planted(_model: str) -> list[dict[str, Any]]:
    """One recording of each kernel, read as any profile is; a process each, forked before CUDA is in use."""
    from benchmarks.stall_kernels import planted as kernels

    rows = []
    for name in kernels():
        here, there = multiprocessing.get_context("fork").Pipe(duplex=False)
        child = multiprocessing.get_context("fork").Process(target=_plant, args=(name, there))
        child.start()
        there.close()
        try:
            rows.append(here.recv())
        except EOFError:
            rows.append({"held up by": name, "right": False, "error": "the process ended"})
        child.join()
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _plant(name: str, out: Any) -> None:
    from benchmarks.stall_kernels import Planted
    from benchmarks.stall_kernels import planted as kernels
    from llmflame.analysis.run_tree import build_run_tree
    from llmflame.analysis.stalls.breakdown import stall_breakdown

    groups, launch = kernels()[name]
    with tempfile.TemporaryDirectory() as folder:
        profile = _recorded(Planted(launch), Path(folder) / "planted.llmflame")
    kernel = stall_breakdown(profile, build_run_tree(profile).tree, "decode")[0]
    assert kernel.dominant is not None
    out.send(
        {
            "held up by": name,
            "kernel": kernel.name,
            "dominant group": kernel.dominant.group,
            "reason": kernel.dominant.reason,
            "right": kernel.dominant.group in groups.split("|"),
            "bound": kernel.bound,
            "samples": kernel.samples,
            "dropped": sum(window.dropped or 0 for window in profile.windows if window.kind == "stalls"),
            "shares": {reason: round(share, 4) for reason, share in kernel.counts.shares.items()},
            "issued": round(1 - (kernel.lost_share or 0), 4),
            "source lines": len({(one.file, one.line) for one in profile.instructions if one.line}),
        }
    )


def _recorded(module: Any, output: Path) -> Any:
    import torch

    import llmflame

    with torch.no_grad(), llmflame.Recorder(module, output, repetitions=2, stalls="continuous") as recorder:
        for _ in recorder.passes():
            for length in (4, 1, 1, 1):
                module(torch.ones(1, length, dtype=torch.long, device="cuda"))
            torch.cuda.synchronize()
    return recorder.profile


def cost(model: str) -> list[dict[str, Any]]:
    """Whole requests and their decoding, without and with a sampler, in turns."""
    import torch

    run = generate(build(shape(model), dtype="bfloat16", device="cuda"), REQUEST)
    for _ in range(3):
        run()
    pairs = []
    for number in range(PAIRS):
        sampled_first = bool(number % 2)
        walls = {}
        for sampled in (sampled_first, not sampled_first):
            with _sampler(sampled) as sampler:
                torch.cuda.synchronize()
                sampler.start()
                begin = time.perf_counter_ns()
                run()
                walls[sampled] = time.perf_counter_ns() - begin
                counts = sampler.stop()
            if sampled:
                seen = counts
        pairs.append((walls[False], walls[True]))
    ratios = sorted(with_it / without for without, with_it in pairs)
    return [
        {
            "model": model,
            "clean_ms_a_token": median(pair[0] for pair in pairs) / REQUEST.new_tokens / 1e6,
            "sampled_ms_a_token": median(pair[1] for pair in pairs) / REQUEST.new_tokens / 1e6,
            "median_ratio": median(ratios),
            "ratios": ratios,
            "samples": seen.total,
            "dropped": seen.dropped,
            "hidden": seen.hidden,
            "buffer_full": seen.buffer_full,
        }
    ]


@contextlib.contextmanager
def _sampler(wanted: bool) -> Iterator[Any]:
    from llmflame.probes.stalls.cupti_library import Cupti
    from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
    from llmflame.probes.stalls.sampler import NoSampler

    with contextlib.closing(
        CuptiSampler(Cupti.loaded(), current_context()) if wanted else NoSampler()
    ) as sampler:
        yield sampler


def _decoding(model: str) -> Callable[[], Any]:
    """A decode step that can be repeated: the cache stays as long as it was."""
    import torch

    config = shape(model) | {"num_hidden_layers": AGREE_LAYERS}
    made = build(config, dtype="bfloat16", device="cuda")
    torch.manual_seed(0)
    ids = torch.randint(1, made.config.vocab_size, (1, 16), device="cuda")
    cache = made(input_ids=ids, use_cache=True).past_key_values
    token = ids[:, :1]

    def step() -> Any:
        out = made(input_ids=token, past_key_values=cache, use_cache=True).logits[:, -1:].argmax(-1)
        cache.crop(-1)
        torch.cuda.synchronize()
        return out

    for _ in range(3):
        step()
    return step


def under_ncu(model: str) -> list[dict[str, Any]]:
    """What Nsight Compute runs: one step between its marks."""
    import torch

    with torch.no_grad():
        step = _decoding(model)
        torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
        step()
        torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]
    return []


def agree(model: str) -> list[dict[str, Any]]:
    """By kernel: shares of reasons here and there."""
    import torch

    from llmflame.probes.stalls.sampler import NOT_ISSUED

    with torch.no_grad():
        step = _decoding(model)
        with _sampler(True) as sampler:
            sampler.start()
            for _ in range(AGREE_STEPS):
                step()
            counts = sampler.stop()
    ours: dict[str, Counter[str]] = defaultdict(Counter)
    for (function, _, _, _, reason), number in counts.samples.items():
        if not reason.endswith(NOT_ISSUED):
            ours[function][reason] += number
    times, theirs = _ncu(model)
    rows = []
    for function, took in times.most_common(HOTTEST):
        here, there = _shares(ours[function]), _shares(theirs[function])
        apart = max((abs(here.get(r, 0) - there.get(r, 0)) for r in here.keys() | there.keys()), default=1.0)
        rows.append(
            {
                "function": function,
                "ncu_ns": took,
                "samples": sum(ours[function].values()),
                "ncu_samples": sum(theirs[function].values()),
                "top": list(here)[:TOP],
                "ncu_top": list(there)[:TOP],
                "same_top": set(list(here)[:TOP]) == set(list(there)[:TOP]),
                "largest_difference": apart,
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def _shares(counts: Counter[str]) -> dict[str, float]:
    whole = counts.total()
    return {reason: number / whole for reason, number in counts.most_common()}


def _ncu(model: str) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """By function: time and samples of one step's launches."""
    from llmflame.importing.ncu_csv import read_launches

    command = [
        "ncu",
        "--clock-control",
        "none",
        "--cache-control",
        "none",
        "--profile-from-start",
        "off",
        "--csv",
        "--page",
        "raw",
    ]
    command += ["--print-kernel-base", "mangled", "--metrics", METRICS]
    times: Counter[str] = Counter()
    samples: dict[str, Counter[str]] = defaultdict(Counter)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ncu.csv"
        command += ["--log-file", str(log), sys.executable, __file__, "step", "-", model]
        subprocess.run(command, capture_output=True, timeout=NCU_TIMEOUT_S, check=True)
        for launch in read_launches(log):
            times[launch.kernel] += round(launch.device_ns or 0)
            samples[launch.kernel].update({reason: int(n) for reason, n in launch.reasons.items()})
    return times, samples


def main() -> int:
    """Run one check and keep what it found."""
    what, out = sys.argv[1], Path(sys.argv[2])
    model = sys.argv[3] if len(sys.argv) > 3 else "llama-3.2-1b"
    checks = {"planted": planted, "cost": cost, "agree": agree, "step": under_ncu}
    rows = checks[what](model)
    if what != "step":
        out.write_text(json.dumps({"check": what, "model": model, "rows": rows}, indent=1) + "\n")
        print(f"wrote {out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

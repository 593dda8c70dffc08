"""Do sampled stalls say what is true, and what do they cost?

    python benchmarks/gpu_stalls.py planted OUT.json
    python benchmarks/gpu_stalls.py cost OUT.json [MODEL]
    python benchmarks/gpu_stalls.py agree OUT.json [MODEL]

`planted`: Triton kernels held up by one thing each; is that the dominant group? `cost`: requests without
sampling and with it, in turns. `agree`: the same decode step under Nsight Compute; of the ten kernels with
the most time: are the three largest reasons the same, and how far apart is the largest share? Nsight
Compute runs each kernel alone, as our serialised mode does: both are compared, and continuous mode, in
which kernels follow each other as they do without a profiler. A model of `agree` has two layers of the real
one's width: its kernels' shapes are the real ones.
"""

from __future__ import annotations

import contextlib
import itertools
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

from benchmarks.gpu_model import Request, build, greedy, shape

ROUNDS = 30
REQUEST = Request(1, 16, 64)
AGREE_LAYERS = 2
AGREE_STEPS = 200
SERIAL_STEPS = 20
NCU_STEPS = 1
NCU_INTERVAL = "4"
"""2**(5 + 4) cycles: one step needs more samples of each kernel."""
HOTTEST = 10
TOP = 3
NCU_METRICS = "group:smsp__pcsamp_warp_stall_reasons,gpu__time_duration.sum"
NCU_CACHES = "all"
"""Emptied before each kernel: one that is repeated would find its weights in the cache, where no step of the
real model finds them."""
NCU_TIMEOUT_S = 150


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
    """Requests without and with a sampler, in turns; the first of a round is another each time.

    A request's figures are the median of its steps, which what disturbs some of them doesn't move, and the
    time that its thread had a CPU, which others on the machine don't move as much.
    """
    import torch

    moments: list[int] = []
    made = build(shape(model), dtype="bfloat16", device="cuda")
    plain = greedy(made, REQUEST, lambda: moments.append(time.perf_counter_ns()))

    def run() -> Any:
        with torch.no_grad():
            return plain()

    for _ in range(3):
        run()
    steps: dict[bool, list[float]] = {False: [], True: []}
    cpu: dict[bool, list[int]] = {False: [], True: []}
    counts: list[Any] = []
    for number in range(ROUNDS):
        for sampled in (False, True) if number % 2 else (True, False):
            moments.clear()
            with _sampler(sampled) as sampler:
                torch.cuda.synchronize()
                sampler.start()
                begin = time.thread_time_ns()
                run()
                cpu[sampled].append(time.thread_time_ns() - begin)
                found = sampler.stop()
            steps[sampled].append(median(after - before for before, after in itertools.pairwise(moments)))
            if sampled:
                counts.append(found)
    ratios = [with_it / without for without, with_it in zip(steps[False], steps[True], strict=True)]
    of_cpu = [with_it / without for without, with_it in zip(cpu[False], cpu[True], strict=True)]
    row = {
        "model": model,
        "rounds": ROUNDS,
        "clean_ms_a_token": median(steps[False]) / 1e6,
        "sampled_ms_a_token": median(steps[True]) / 1e6,
        "median_ratio": median(ratios),
        "median_cpu_ratio": median(of_cpu),
        "least_over_least": min(steps[True]) / min(steps[False]),
        "ratios": [round(ratio, 4) for ratio in sorted(ratios)],
        "cpu_ratios": [round(ratio, 4) for ratio in sorted(of_cpu)],
        "samples_a_request": median(one.total for one in counts),
        "dropped": sum(one.dropped for one in counts),
        "hidden": sum(one.hidden for one in counts),
        "buffer_full": any(one.buffer_full for one in counts),
    }
    print(json.dumps(row), flush=True)
    return [row]


@contextlib.contextmanager
def _sampler(wanted: bool, **options: Any) -> Iterator[Any]:
    from llmflame.probes.stalls.cupti_library import Cupti
    from llmflame.probes.stalls.cupti_sampler import CuptiSampler, current_context
    from llmflame.probes.stalls.sampler import NoSampler

    with contextlib.closing(
        CuptiSampler(Cupti.loaded(), current_context(), **options) if wanted else NoSampler()
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
    """What Nsight Compute runs: steps between its marks."""
    import torch

    with torch.no_grad():
        step = _decoding(model)
        torch.cuda.profiler.start()  # type: ignore[no-untyped-call]
        for _ in range(NCU_STEPS):
            step()
        torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]
    return []


def agree(model: str) -> list[dict[str, Any]]:
    """By kernel: shares of reasons here, in both modes, and there."""
    import torch

    with torch.no_grad():
        step = _decoding(model)
        modes = {
            "continuous": _reasons(step, AGREE_STEPS, serialized=False),
            "serialised": _reasons(step, SERIAL_STEPS, serialized=True),
        }
    times, theirs = _ncu(model)
    rows = []
    for function, took_ns in times.most_common(HOTTEST):
        there = theirs[function]
        row: dict[str, Any] = {"function": function, "ncu_ns": took_ns / NCU_STEPS}
        row["ncu"] = {"samples": there.total(), "shares": _rounded(_shares(there))}
        for mode, ours in modes.items():
            row[mode] = {"shares": _rounded(_shares(ours[function])), **_differences(ours[function], there)}
        rows.append(row)
        print(json.dumps(row), flush=True)
    return rows


def _differences(ours: Counter[str], theirs: Counter[str]) -> dict[str, Any]:
    here, there = _shares(ours), _shares(theirs)
    apart = (abs(here.get(reason, 0) - there.get(reason, 0)) for reason in here.keys() | there.keys())
    return {
        "samples": ours.total(),
        "same_top": set(list(here)[:TOP]) == set(list(there)[:TOP]),
        "largest_difference": max(apart, default=1.0),
    }


def _reasons(step: Callable[[], Any], steps: int, *, serialized: bool) -> dict[str, Counter[str]]:
    """Samples of a kernel by reason; those in which nothing was issued are among them."""
    from llmflame.probes.stalls.sampler import NOT_ISSUED

    found: dict[str, Counter[str]] = defaultdict(Counter)
    with _sampler(True, serialized=serialized) as sampler:
        sampler.start()
        for _ in range(steps):
            step()
            sampler.drain()
        counts = sampler.stop()
    for (function, _, _, _, reason), number in counts.samples.items():
        if not reason.endswith(NOT_ISSUED):
            found[function][reason] += number
    return found


def _rounded(shares: dict[str, float]) -> dict[str, float]:
    return {reason: round(share, 4) for reason, share in shares.items() if share >= 0.00005}


def _shares(counts: Counter[str]) -> dict[str, float]:
    whole = counts.total()
    return {reason: number / whole for reason, number in counts.most_common()}


def _ncu(model: str) -> tuple[Counter[str], dict[str, Counter[str]]]:
    """By function, time and samples of all launches in its steps. Raises RuntimeError with what ncu said."""
    from llmflame.importing.ncu_csv import read_launches

    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "ncu.csv"
        command = ["ncu", "--clock-control", "none", "--cache-control", NCU_CACHES, "--log-file", str(log)]
        command += ["--warp-sampling-interval", NCU_INTERVAL, "--metrics", NCU_METRICS]
        command += ["--profile-from-start", "off", "--csv", "--page", "raw", "--print-kernel-base", "mangled"]
        command += [sys.executable, __file__, "step", "-", model]
        try:
            subprocess.run(command, timeout=NCU_TIMEOUT_S, text=True, check=True)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            said = log.read_text("utf-8") if log.exists() else "nothing"
            raise RuntimeError(f"Nsight Compute, which said: {said[-2000:]}") from error
        times: Counter[str] = Counter()
        samples: dict[str, Counter[str]] = defaultdict(Counter)
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

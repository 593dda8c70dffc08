"""How near the lab's decode steps come to what a GPU's memory allows, beside stock transformers.

    PYTHONPATH=src python benchmarks/lab_gpu.py bandwidth --out FILE.json
    PYTHONPATH=src python benchmarks/lab_gpu.py stock llama-3.2-1b [--attention sdpa] --out FILE.json
    PYTHONPATH=src python benchmarks/lab_gpu.py stacks llama-3.2-1b [--only N ...] --out FILE.json
    PYTHONPATH=src python benchmarks/lab_gpu.py tiles llama-3.2-1b --out FILE.json

bfloat16, one sequence, 16 + 128 tokens; random weights made on the device, no checkpoint. `stacks` compares
the logits of each stack, teacher-forced, with the plain decoder's on the same weights, before it times any.
Times of a token are medians over its steps, of the best of a few requests, until the token is on the host.
"""

from __future__ import annotations

import argparse
import functools
import gc
import itertools
import json
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch
from torch import Tensor, nn

from llmflame.lab.scratch_runner import ScratchRunner
from llmflame.lab.step_work import step_work
from llmflame.lab.variants.registry import chosen
from llmflame.lab.variants.setup import ScratchSetup
from llmflame.scratch import rope
from llmflame.scratch.config import Config, read_config
from llmflame.scratch.model import LanguageModel
from llmflame.subjects.dummy import SHAPES

PROMPT_TOKENS, NEW_TOKENS = 16, 128
FORCED_TOKENS = 48
REPETITIONS = 5
SPREAD = 0.02
SEED = 0
BARS = {"llama-3.2-1b": ("ms a token", 0.95), "llama-3.1-8b": ("share of copy bandwidth", 0.70)}
KEPT = ("static-cache", "fused-projections")
STACKS: tuple[tuple[str, ...], ...] = (
    (),
    ("static-cache",),
    (*KEPT, "cuda-graph"),
    (*KEPT, "sdpa", "cuda-graph"),
    (*KEPT, "compile", "cuda-graph"),
    (*KEPT, "compile-reduce-overhead"),
    (*KEPT, "compile-max-autotune", "cuda-graph"),
    (*KEPT, "fused-kernels", "cuda-graph"),
    (*KEPT, "fused-kernels", "cuda-graph", "run-ahead"),
    (*KEPT, "int8", "fused-kernels", "cuda-graph", "run-ahead"),
    (*KEPT, "int4", "fused-kernels", "cuda-graph", "run-ahead"),
)


def config_of(name: str) -> Config:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(dict(SHAPES[name].config)), "utf-8")
        return read_config(Path(folder))


def build(config: Config) -> LanguageModel:
    """The decoder with random weights, the same on every call."""
    with torch.device("meta"):
        model = LanguageModel(config).to(torch.bfloat16)
    model.to_empty(device="cuda")
    model.model.register_buffer("theta", rope.frequencies(config).cuda(), persistent=False)
    if config.tied:
        model.lm_head.weight = model.model.embed_tokens.weight
    generator = torch.Generator("cuda").manual_seed(SEED)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.fill_(1.0)
            else:
                parameter.normal_(0, SPREAD, generator=generator)
    return model.eval().requires_grad_(False)


def bytes_of_a_step(model: LanguageModel) -> int:
    """Each weight once, but of an untied embedding nothing, and the mean KV cache in bfloat16."""
    work = step_work(model, batch=1, prompt_tokens=PROMPT_TOKENS, new_tokens=NEW_TOKENS, kv_element=2)
    return int(work.step_bytes)


def prompt_of(config: Config) -> Tensor:
    generator = torch.Generator("cuda").manual_seed(SEED)
    return torch.randint(1, config.vocabulary, (1, PROMPT_TOKENS), device="cuda", generator=generator)


def copy_bandwidth() -> float:
    """Bytes read and written a second by a large copy."""
    source = torch.randn(1 << 30, device="cuda", dtype=torch.float32)
    target = torch.empty_like(source)
    times: list[float] = []
    for _ in range(12):
        begin = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        begin.record()
        target.copy_(source)
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) / 1e3)
    return 2 * source.nbytes / min(times)


def runner_of(names: Sequence[str], config: Config) -> tuple[ScratchRunner, LanguageModel]:
    setup = ScratchSetup("cuda", "bfloat16", 1, None, PROMPT_TOKENS, NEW_TOKENS)
    for variant in chosen(names):
        variant.apply["scratch"](setup)
    model = build(config)
    for prepare in setup.before_load:
        prepare()
    setup.apply_changes(model)
    gc.collect()
    torch.cuda.empty_cache()
    return ScratchRunner(setup, model, PROMPT_TOKENS + NEW_TOKENS), model


def timed(request: Callable[[Callable[[Any], None]], None]) -> dict[str, Any]:
    """The best of a few requests: ms until the first token, and the median of later ones."""
    best: dict[str, Any] = {}
    for _ in range(REPETITIONS):
        torch.cuda.synchronize()
        moments = [time.perf_counter_ns()]

        def arrived(_ids: Any, moments: list[int] = moments) -> None:
            moments.append(time.perf_counter_ns())

        request(arrived)
        steps = [(b - a) / 1e6 for a, b in itertools.pairwise(moments[1:])]
        found = {
            "ttft_ms": (moments[1] - moments[0]) / 1e6,
            "ms_a_token": (moments[-1] - moments[1]) / 1e6 / len(steps),
            "median_step_ms": statistics.median(steps),
        }
        if not best or found["ms_a_token"] < best["ms_a_token"]:
            best = found
    return best


def logits_of(runner: ScratchRunner, ids: Tensor) -> Tensor:
    return torch.cat(list(runner.forced(ids, PROMPT_TOKENS)), dim=1)


def differences(found: Tensor, reference: Tensor) -> dict[str, float]:
    kl = nn.functional.kl_div(
        found.log_softmax(-1), reference.log_softmax(-1), log_target=True, reduction="none"
    )
    return {
        "max_delta": (found - reference).abs().max().item(),
        "largest_logit": reference.abs().max().item(),
        "kl": kl.sum(-1).mean().item(),
        "top1": (found.argmax(-1) == reference.argmax(-1)).float().mean().item(),
    }


def measure_stack(
    names: Sequence[str], config: Config, ids: Tensor, reference: Tensor | None, bandwidth: float
) -> tuple[dict[str, Any], Tensor]:
    begin = time.perf_counter()
    runner, model = runner_of(names, config)
    logits = logits_of(runner, ids)
    row: dict[str, Any] = {"stack": list(names), "step_bytes": bytes_of_a_step(model)}
    if reference is not None:
        row["beside plain"] = differences(logits, reference)
    prompt = prompt_of(config)
    for _ in range(2):
        runner.request(prompt, NEW_TOKENS, lambda _ids: None)
    row["prepared_s"] = time.perf_counter() - begin
    row |= timed(lambda arrived: runner.request(prompt, NEW_TOKENS, arrived))
    row["copy_bytes_per_s"] = bandwidth
    row["share_of_bandwidth"] = row["step_bytes"] / (row["ms_a_token"] / 1e3) / bandwidth
    row["peak_bytes"] = torch.cuda.max_memory_reserved()
    inner: Any = getattr(runner._kept_step, "_step", runner._kept_step)
    if hasattr(inner, "tiles"):
        row["tiles"] = {kind: str(tiles) for kind, tiles in inner.tiles.items()}
    return row, logits


def stacks(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    config, bandwidth = config_of(arguments.model), copy_bandwidth()
    print(f"copy bandwidth {bandwidth / 1e12:.2f} TB/s", flush=True)
    generator = torch.Generator("cuda").manual_seed(SEED + 1)
    size = (1, PROMPT_TOKENS + FORCED_TOKENS)
    ids = torch.randint(1, config.vocabulary, size, device="cuda", generator=generator)
    rows: list[dict[str, Any]] = []
    reference: Tensor | None = None
    wanted = range(len(STACKS)) if not arguments.only else sorted({0, *arguments.only})
    for number in wanted:
        torch._dynamo.reset()
        torch.cuda.reset_peak_memory_stats()
        try:
            row, logits = measure_stack(STACKS[number], config, ids, reference, bandwidth)
            reference = logits if reference is None else reference
        except Exception as error:
            traceback.print_exc()
            row = {"stack": list(STACKS[number]), "error": f"{type(error).__name__}: {str(error)[:2000]}"}
        rows.append(row)
        print(number, json.dumps(row), flush=True)
        gc.collect()
        torch.cuda.empty_cache()
    return rows


def stock(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """transformers' own `generate`, as it comes and with its static cache, which it compiles."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.generation.streamers import BaseStreamer

    class Told(BaseStreamer):  # type: ignore[misc]
        """Tells of each token; the prompt, which comes first, isn't one."""

        def __init__(self, arrived: Callable[[Any], None]) -> None:
            self.arrived, self.first = arrived, True

        def put(self, value: Any) -> None:
            if not self.first:
                self.arrived(value)
            self.first = False

        def end(self) -> None:
            pass

    made = AutoConfig.for_model(**SHAPES[arguments.model].config)
    rows = []
    bandwidth = copy_bandwidth()
    ids = prompt_of(config_of(arguments.model))

    def request(model: Any, options: dict[str, Any], arrived: Callable[[Any], None]) -> None:
        model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS, do_sample=False, streamer=Told(arrived), **options
        )  # fmt: skip

    for attention in arguments.attention:
        with torch.device("cuda"):
            model = AutoModelForCausalLM.from_config(
                made, dtype=torch.bfloat16, attn_implementation=attention
            ).eval()
        model.generation_config.pad_token_id, model.generation_config.eos_token_id = 0, None
        weights = sum(p.nbytes for p in model.parameters())
        if not made.tie_word_embeddings:
            weights -= model.model.embed_tokens.weight.nbytes
        for options in ({}, {"cache_implementation": "static"}):
            row: dict[str, Any] = {"stock": options or "generate", "attention": attention}
            run = functools.partial(request, model, options)
            begin = time.perf_counter()
            try:
                for _ in range(3):
                    run(lambda _ids: None)
                row["prepared_s"] = time.perf_counter() - begin
                row |= timed(run)
                row["copy_bytes_per_s"] = bandwidth
                row["share_of_bandwidth"] = weights / (row["ms_a_token"] / 1e3) / bandwidth
            except Exception as error:
                traceback.print_exc()
                row["error"] = f"{type(error).__name__}: {str(error)[:2000]}"
            rows.append(row)
            print(json.dumps(row), flush=True)
        del model, run
        gc.collect()
        torch.cuda.empty_cache()
    return rows


def tiles(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Each kind of product with each way of cutting it, as a graph over all layers."""
    from llmflame.lab.kernels.decode import KernelStep
    from llmflame.lab.kernels.tuning import candidates, graph_ns
    from llmflame.lab.scratch_runner import plain
    from llmflame.lab.variants.setup import Room

    config = config_of(arguments.model)
    runner, model = runner_of((*KEPT, *arguments.weights), config)
    assert runner._kept is not None
    room = Room(model, runner._kept, runner._padding, PROMPT_TOKENS + NEW_TOKENS)
    step = KernelStep(room, plain(room), tune=False)
    rows = []
    for kind, group in step.products.items():
        size = sum(one.weight.nbytes for one in group)
        for candidate in candidates(group[0].bits):
            try:
                took = graph_ns(functools.partial(step._run_all, group, candidate))
                row = {"kind": kind, "tiles": str(candidate), "us": took / 1e3 / len(group)}
                row["TB_a_second"] = size / took / 1e3
            except Exception as error:
                row = {"kind": kind, "tiles": str(candidate), "error": str(error)[:300]}
            rows.append(row)
            print(json.dumps(row), flush=True)
    took = graph_ns(lambda: attend_in_all(step))
    rows.append({"kind": "attend", "us": took / 1e3 / config.layers})
    print(json.dumps(rows[-1]), flush=True)
    return rows


def attend_in_all(step: Any) -> None:
    for number in range(step.config.layers):
        step._attend(number)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("bandwidth", "stock", "stacks", "tiles"))
    parser.add_argument("model", nargs="?", choices=tuple(BARS), default="llama-3.2-1b")
    parser.add_argument(
        "--only", type=int, nargs="*", help="numbers of stacks; the plain one is always first"
    )
    parser.add_argument("--attention", nargs="*", default=("eager", "sdpa"), help="of stock transformers")
    parser.add_argument("--weights", nargs="*", default=(), help="of tiles: int8 or int4")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    works: dict[str, Callable[[argparse.Namespace], Any]] = {
        "bandwidth": lambda _arguments: [{"copy_bytes_a_second": copy_bandwidth()}],
        "stock": stock,
        "stacks": stacks,
        "tiles": tiles,
    }
    with torch.no_grad():
        rows = works[arguments.what](arguments)
    facts = {"torch": torch.__version__, "device": torch.cuda.get_device_name(), "model": arguments.model}
    arguments.out.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n", "utf-8")
    print("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())

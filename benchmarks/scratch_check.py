"""Does the decoder of `llmflame.scratch` compute what transformers computes?

    python benchmarks/scratch_check.py [--only NAME ...] [--out results/scratch.json]

In float32 on the CPU: logits and greedy tokens of the demo model, and logits of two real shapes with random
weights (whose tokens mean nothing: their logits are all but equal). It times nothing: the machine may be
busy. It needs 8 GB of memory. The exit code is 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import torch
import transformers
from torch import Tensor

from llmflame.scratch import generate
from llmflame.scratch.cache import DynamicCache
from llmflame.scratch.checkpoint import load
from llmflame.scratch.tokenizer import Batch, Tokenizer, pad
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve
from tests.scratch.prompts import PROMPTS

RESULTS = Path(__file__).parent / "results" / "scratch.json"
NEW_TOKENS = 128
NAIVE_TOKENS = 32
LOGIT_BAR = 1e-3
RELATIVE_BAR = 1e-3
LENGTHS = ((512,), (64, 37))
"""Of random prompts for the real shapes: a long one, and a batch that needs padding."""
SEED = 7
DEMO = "demo"
SHAPES = ("dummy:llama-3.2-1b", "dummy:qwen3-0.6b")


def reference(folder: Path) -> Any:
    """transformers' own model, in float32."""
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True
    ).eval()


def attention_mask(batch: Batch) -> Tensor:
    """[B, T], 1 where a token is: how transformers is told of padding."""
    columns = torch.arange(batch.tokens.shape[1])
    return (columns >= batch.padding[:, None]).long()


def reference_logits(model: Any, batch: Batch) -> Tensor:
    """[B, T, V]"""
    mask = attention_mask(batch)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    logits: Tensor = model(batch.tokens, attention_mask=mask, position_ids=positions).logits
    return logits


def reference_tokens(model: Any, batch: Batch) -> list[list[int]]:
    """`NEW_TOKENS` greedy tokens of each row, ends of text among them."""
    rows: Tensor = model.generate(
        batch.tokens,
        attention_mask=attention_mask(batch),
        max_new_tokens=NEW_TOKENS,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    found: list[list[int]] = rows[:, batch.tokens.shape[1] :].tolist()
    return found


def own_tokens(steps: Any) -> list[list[int]]:
    """The rows of a generation."""
    found: list[list[int]] = torch.stack(list(steps), dim=1).tolist()
    return found


def difference(ours: Tensor, theirs: Tensor, batch: Batch) -> dict[str, float]:
    """The largest difference of a logit of a real token, by itself and beside the largest logit."""
    real = attention_mask(batch).bool()
    delta = (ours - theirs).abs()[real].max().item()
    return {"max_delta": delta, "relative": delta / theirs[real].abs().max().item()}


@torch.inference_mode()
def check_demo() -> dict[str, Any]:
    """Logits and tokens of a trained model, one prompt at a time and in batches of four."""
    folder = resolve(DEMO, progress=silent).folder
    tokenizer = Tokenizer(folder)
    prompts = [tokenizer.encode(prompt) for prompt in PROMPTS]
    ours, theirs = load(folder, "float32"), reference(folder)
    batches = {
        1: [pad([prompt]) for prompt in prompts],
        4: [pad(prompts[begin : begin + 4]) for begin in range(0, len(prompts), 4)],
    }
    result: dict[str, Any] = {"model": DEMO, "checks": []}
    for size, group in batches.items():
        worst = max(
            difference(ours(one.tokens, one.padding), reference_logits(theirs, one), one)["max_delta"]
            for one in group
        )
        expected = [row for one in group for row in reference_tokens(theirs, one)]
        found = [row for one in group for row in own_tokens(generate.cached(ours, one, NEW_TOKENS))]
        equal = sum(a == b for a, b in zip(found, expected, strict=True))
        naive = [row for one in group for row in own_tokens(generate.naive(ours, one, NAIVE_TOKENS))]
        same = sum(a == b[:NAIVE_TOKENS] for a, b in zip(naive, found, strict=True))
        passed = worst <= LOGIT_BAR and equal == same == len(prompts)
        result["checks"].append(
            {
                "what": f"batch {size}",
                "prompt_tokens": [len(prompt) for prompt in prompts],
                "max_delta": worst,
                "equal_prompts": equal,
                "of_prompts": len(prompts),
                "new_tokens": NEW_TOKENS,
                "naive_equal_prompts": same,
                "naive_tokens": NAIVE_TOKENS,
                "passed": passed,
            }
        )
    return result


@torch.inference_mode()
def check_shape(spec: str) -> dict[str, Any]:
    """Logits of a real shape, at once and through the cache; one model in memory at a time."""
    folder = resolve(spec, progress=silent).folder
    generator = torch.Generator().manual_seed(SEED)
    model = reference(folder)
    batches = [
        pad([torch.randint(0, model.config.vocab_size, (n,), generator=generator).tolist() for n in lengths])
        for lengths in LENGTHS
    ]
    expected = [reference_logits(model, batch) for batch in batches]
    del model
    gc.collect()
    ours = load(folder, "float32")
    result: dict[str, Any] = {"model": spec, "checks": []}
    for lengths, batch, theirs in zip(LENGTHS, batches, expected, strict=True):
        found = difference(ours(batch.tokens, batch.padding), theirs, batch)
        cache, half = DynamicCache(), batch.tokens.shape[1] // 2
        parts = [ours(part, batch.padding, cache) for part in torch.split(batch.tokens, half, dim=1)]
        cached = difference(torch.cat(parts, dim=1), theirs, batch)
        result["checks"].append(
            {
                "what": f"{' and '.join(map(str, lengths))} random tokens",
                **found,
                "cached_relative": cached["relative"],
                "passed": max(found["relative"], cached["relative"]) <= RELATIVE_BAR,
            }
        )
    return result


def page(document: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    lines = ["# The decoder to be read, beside transformers", ""]
    lines += [f"- {key}: {document[key]}" for key in ("date", "command", "software")]
    lines += ["", "float32 on the CPU. A difference is the largest of any logit of a real token.", ""]
    lines += ["| model | checked | bar | found | passed |", "|---|---|---|---|---|"]
    for one in document["results"]:
        for check in one["checks"]:
            lines += _rows(one["model"], check)
    return "\n".join(lines) + "\n"


def _rows(model: str, check: Mapping[str, Any]) -> list[str]:
    verdict = "yes" if check["passed"] else "NO"
    if "equal_prompts" not in check:
        figures = f"{check['relative']:.1e}, in two parts through the cache {check['cached_relative']:.1e}"
        bar = f"{RELATIVE_BAR:g} of the largest logit"
        return [f"| {model} | logits, {check['what']} | {bar} | {figures} | {verdict} |"]
    count, what = check["of_prompts"], check["what"]
    return [
        f"| {model} | logits, {count} prompts, {what} | {LOGIT_BAR:g} | {check['max_delta']:.1e} | "
        f"{verdict} |",
        f"| {model} | {check['new_tokens']} greedy tokens, {what} | {count} of {count} prompts equal | "
        f"{check['equal_prompts']} | {verdict} |",
        f"| {model} | {check['naive_tokens']} tokens without cache, {what} | {count} of {count} equal | "
        f"{check['naive_equal_prompts']} | {verdict} |",
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and write both files. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--only", nargs="+", choices=(DEMO, *SHAPES), default=[DEMO, *SHAPES])
    options = parser.parse_args(arguments)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    results = []
    for spec in options.only:
        results.append(check_demo() if spec == DEMO else check_shape(spec))
        print(json.dumps(results[-1]), flush=True)
        gc.collect()
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(
            ["python benchmarks/scratch_check.py", *(sys.argv[1:] if arguments is None else arguments)]
        ),
        "software": f"torch {torch.__version__}, transformers {transformers.__version__}",
        "results": results,
    }
    options.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    options.out.with_suffix(".md").write_text(page(document), encoding="utf-8")
    return 0 if all(check["passed"] for one in results for check in one["checks"]) else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the lab's variants reach on a CPU: the demo model, one sequence, beside stock transformers in one run.

    python benchmarks/lab_cpu.py rows       # chosen stacks of variants
    python benchmarks/lab_cpu.py ladder     # one after the other, what pays is kept

Runs `llmflame lab` and keeps its document in `results/lab-cpu-KIND.json` (`--suffix` comes before the dot),
its table in `.md`, and the file in the current folder, for `llmflame show` and `llmflame report`. The
machine must be idle: two threads that meet after every operator measure the neighbours otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.overhead import RESULTS, describe
from llmflame.atomic import write_atomically

FUSED = "scratch:static-cache+fused-projections"
KERNELS = f"{FUSED}+fused-kernels"
ROWS = (
    "eager-attention",
    "static-cache",
    "bf16",
    "scratch",
    FUSED,
    KERNELS,
    f"{KERNELS}+bf16",
    f"{KERNELS}+huge-pages+bf16",
)
RUNGS = "static-cache,fused-projections,sdpa,packed-weights,huge-pages,fused-kernels,bf16"
"""Without what takes minutes to compile, and what is approximate but bfloat16."""
ASKED = {
    "rows": ["--variants", ",".join(ROWS)],
    "ladder": ["--ladder", "--engine", "scratch", "--variants", RUNGS],
}
BAR = 3.0
"""Times the stock model's tokens a second, by variants that compute the same, and bfloat16."""


def fastest(found: dict[str, Any]) -> dict[str, Any] | None:
    """The row with the best speed-up of those whose outputs agree."""
    rows = [row for row in found["rows"] if row["speedup"]]
    return max(rows, key=lambda row: float(row["speedup"]["ratio"]), default=None)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=ASKED)
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--suffix", default="", help="of the results' names, such as -amd")
    options = parser.parse_args()
    file = Path(f"lab-cpu-{options.kind}{options.suffix}.llmflame")
    lab = ["lab", "demo", "--device", "cpu", *ASKED[options.kind]]
    lab += ["--new-tokens", str(options.new_tokens), "--rounds", str(options.rounds)]
    before = os.getloadavg()[0]
    subprocess.run([*_llmflame(), *lab, "--no-profiles", "--force", "-o", str(file)], check=True)
    found = json.loads(_read("show", str(file), "--json"))
    head = describe(["llmflame", *lab]) | {"load average before": f"{before:.1f}"}
    lines = [
        f"# The lab on a CPU: {options.kind}",
        "",
        *(f"- {name}: {value}" for name, value in head.items()),
    ]
    best = fastest(found)
    if best is not None:
        speed = best["speedup"]
        verdict = "reached" if speed["ratio"] >= BAR else "missed"
        lines.append(f"- best: {best['row']}, {speed['ratio']:.2f} times stock ({speed['low']:.2f} to "
                     f"{speed['high']:.2f}); {BAR:g} times is {verdict}")  # fmt: skip
    lines += ["", _read("export", str(file), "--format", "markdown", "-o", "-")]
    target = RESULTS / f"lab-cpu-{options.kind}{options.suffix}.json"
    write_atomically(target, json.dumps(head | found, indent=1) + "\n")
    write_atomically(target.with_suffix(".md"), "\n".join(lines))


def _llmflame() -> list[str]:
    return [sys.executable, "-m", "llmflame"]


def _read(*arguments: str) -> str:
    return subprocess.run([*_llmflame(), *arguments], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()

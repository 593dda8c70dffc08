"""How far off the time of a planted delay is where a profile has it: a busy loop, and a sleep.

    python benchmarks/accuracy.py                 # writes results/accuracy.json and accuracy.md
    python benchmarks/accuracy.py --rounds 3 --out accuracy.json

Each recording is compared with what the planted code measured of itself in the same recording, so that a slow
machine slows both.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.overhead import RESULTS, describe  # noqa: E402
from llmflame.units import percent  # noqa: E402

MOST_ERROR = 0.03
ROUNDS = 5
Row = dict[str, float]


def measured(rounds: int, folder: Path) -> dict[str, list[Row]]:
    """By deed, a row for each recording: the error of its wall time, and the share of it on a CPU."""
    import torch
    from transformers import pipeline

    from llmflame.subjects.progress import silent
    from llmflame.subjects.resolve import resolve
    from tests.integration import planted

    torch.set_num_threads(1)
    model = str(resolve("demo", progress=silent).folder)
    generator = pipeline("text-generation", model=model, dtype=torch.float32, device="cpu")
    found: dict[str, list[Row]] = {name: [] for name in planted.DEEDS}
    for _ in range(rounds):
        for name, rows in found.items():
            profile, took = planted.record(generator, folder / "a.llmflame", name)
            wall, cpu = planted.found(profile, name)
            rows.append({"error": wall / median(took) - 1, "cpu_share": cpu / wall})
    return found


def page(header: dict[str, Any], found: dict[str, list[Row]]) -> str:
    """Markdown: the errors of each deed, and their middle."""
    lines = [
        "# How far off a planted delay is",
        "",
        *(f"- {name}: {value}" for name, value in header.items()),
    ]
    lines += ["", f"5 ms before one layer's MLP, in every step; at most {percent(MOST_ERROR)} is wanted.", ""]
    lines += ["| planted | errors of the recordings | median of their sizes | share on a CPU | verdict |"]
    lines += ["|---|---|---:|---:|---|"]
    for name, rows in found.items():
        middle = median(abs(row["error"]) for row in rows)
        errors = ", ".join(f"{100 * row['error']:+.1f} %" for row in rows)
        share = percent(median(row["cpu_share"] for row in rows))
        verdict = "pass" if middle <= MOST_ERROR else "FAIL"
        lines.append(f"| {name} | {errors} | {percent(middle)} | {share} | {verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Record, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, default=RESULTS / "accuracy.json")
    options = parser.parse_args()
    header = describe(["python", "benchmarks/accuracy.py"])
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options.rounds, Path(folder))
    header["load average before and after, its own included"] = f"{before:.1f}, {os.getloadavg()[0]:.1f}"
    options.out.write_text(json.dumps({**header, "found": found}, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(page(header, found))
    print(options.out.with_suffix(".md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Are the lab's verdicts right? On planted variants of a real model, and where nothing differs.

    python benchmarks/lab_verdicts.py planted             # each planted variant, once
    python benchmarks/lab_verdicts.py same --runs 40      # stock against stock: how often are they different?

`same` runs two experiments at a time, one thread each: they disturb each other, as neighbours do.
Both write `results/lab-verdicts.json`, `same` after each experiment, so that it can be interrupted and goes
on where it was; `results/lab-verdicts.md` is made of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.lab_planted import PLANTED, Planted
from benchmarks.overhead import RESULTS, describe
from llmflame.analysis.experiment.document import document
from llmflame.analysis.experiment.experiment import experiment_of
from llmflame.atomic import write_atomically
from llmflame.lab.order import LabOrder
from llmflame.lab.run import Means, run_experiment
from llmflame.store.profile import read_profile
from llmflame.subjects.progress import silent
from llmflame.subjects.resolve import resolve

ROOT = Path(__file__).resolve().parent.parent
MODEL = "demo"
NEW_TOKENS = {"planted": 32, "same": 8}
ROUNDS = 5
AT_ONCE = 2
"""Experiments in which nothing differs."""
TIME_LIMIT_S = 60.0
RIGHT = {
    "nothing": "no difference",
    "wrong": "disagrees",
    "slower": "slower",
    "hungry": "no difference",
    "crash": "failed",
    "killed": "failed",
    "hang": "failed",
    "recompile": "slower",
}
"""The verdict that each must get."""
TOLD = {"hungry": "more", "recompile": "compil"}
"""What must stand beside it: of memory, and in the notes."""


def experiment(names: tuple[str, ...], kind: str, seed: int) -> dict[str, Any]:
    """The lab's document of one experiment, in real processes."""
    order = LabOrder(
        model=MODEL,
        rows=tuple(("transformers", (name,)) for name in names),
        new_tokens=NEW_TOKENS[kind],
        rounds=ROUNDS,
        warmups=1,
        threads=1 if kind == "same" else None,
        seed=seed,
        time_limit_s=TIME_LIMIT_S,
        profiles=False,
    )
    means = Means(Planted(), worker="benchmarks.lab_planted")
    with tempfile.TemporaryDirectory(prefix="llmflame-verdicts-") as folder:
        output = Path(folder) / "lab.llmflame"
        run_experiment(resolve(MODEL, progress=silent), order, output, means)
        return document(experiment_of(read_profile(output)))


def rows_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """What a verdict is made of, by row."""
    kept = ("row", "verdict", "reason", "speedup", "memory", "notes")
    return [{name: row[name] for name in kept} for row in found["rows"]]


def planted() -> list[dict[str, Any]]:
    """Each planted variant, with whether the lab said what it must."""
    rows = rows_of(experiment(tuple(PLANTED), "planted", seed=0))
    for row in rows:
        if row["row"] in RIGHT:
            told = f"{row['memory']} {row['notes']}"
            row["right"] = row["verdict"] == RIGHT[row["row"]] and TOLD.get(row["row"], "") in told
            # A row that can't be trusted must not have a speed either.
            row["right"] &= row["verdict"] not in ("disagrees", "failed") or row["speedup"] is None
    return rows


def same(seed: int) -> dict[str, Any]:
    """An experiment in which nothing differs."""
    begin = time.monotonic()
    (_, row) = rows_of(experiment(("nothing",), "same", seed))
    return row | {"seed": seed, "seconds": round(time.monotonic() - begin, 1), "load": os.getloadavg()[0]}


def text_of(results: dict[str, Any]) -> str:
    """The page of the results."""
    lines = ["# Are the lab's verdicts right?", ""]
    lines += [
        f"- {name}: {results[name]}" for name in ("date", "command", "machine", "software", "model")
    ] + [""]
    if rows := results.get("planted"):
        right = sum(row.get("right", False) for row in rows)
        lines += [f"## Planted variants: {right} of {len(RIGHT)} right", ""]
        lines += [
            "| planted | verdict | speed-up | memory | reason or notes | right |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_planted_line(row) for row in rows]
        lines.append("")
    if runs := results.get("same"):
        claimed = [run for run in runs if run["verdict"] != "no difference"]
        widths = [run["speedup"]["high"] / run["speedup"]["low"] for run in runs if run["speedup"]]
        loads = [run["load"] for run in runs]
        lines += [f"## Nothing differs: {len(claimed)} of {len(runs)} experiments claim a difference", ""]
        seconds = median(run["seconds"] for run in runs)
        lines += [
            f"Stock against itself, {ROUNDS} rounds, {NEW_TOKENS['same']} tokens; {AT_ONCE} at a time, "
            f"{seconds:.0f} s each, under a load of {min(loads):.1f} to {max(loads):.1f}. "
            f"An interval's ends are a factor of {median(widths):.2f} apart (median).",
            "",
        ]
        lines += ["| experiment | verdict | speed-up | interval |", "|---|---|---|---|"]
        lines += [_same_line(run) for run in sorted(runs, key=lambda run: run["seed"])]
        lines.append("")
    return "\n".join(lines)


def _planted_line(row: dict[str, Any]) -> str:
    speed = f"{row['speedup']['ratio']:.2f}" if row["speedup"] else ""
    said = "; ".join([row["reason"] or "", *row["notes"]]).strip("; ").replace("|", "\\|")
    right = ("yes" if row["right"] else "**no**") if "right" in row else ""
    return f"| {row['row']} | {row['verdict']} | {speed} | {row['memory'] or ''} | {said} | {right} |"


def _same_line(run: dict[str, Any]) -> str:
    speed = run["speedup"]
    figures = f"{speed['ratio']:.3f} | {speed['low']:.3f} to {speed['high']:.3f}" if speed else " | "
    return f"| {run['seed']} | {run['verdict']} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("planted", "same"))
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS / "lab-verdicts.json")
    options = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)  # where trials find what is planted
    results = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    results |= describe(["python", "benchmarks/lab_verdicts.py", "planted, and same"]) | {"model": MODEL}
    if options.kind == "planted":
        results["planted"] = planted()
        _write(results, options.out)
        return
    done = results.setdefault("same", [])
    seeds = sorted(set(range(options.runs)) - {run["seed"] for run in done})
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in as_completed([pool.submit(same, seed) for seed in seeds]):
            done.append(ended.result())
            _write(results, options.out)


def _write(results: dict[str, Any], target: Path) -> None:
    write_atomically(target, json.dumps(results, indent=1) + "\n")
    write_atomically(target.with_suffix(".md"), text_of(results))


if __name__ == "__main__":
    main()

"""What llmflame costs, beside nothing and beside its peers: `python benchmarks/overhead.py`.

Every measurement is a fresh process; rounds are interleaved so that a slow minute of the machine hits all
alike. Results go to `benchmarks/results/`.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import platform
import random
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import peers, spawn
from benchmarks.figures import figures, peer_rows
from benchmarks.table import page
from llmflame.probes.machine import read_machine

RESULTS = Path(__file__).resolve().parent / "results"
OWN = ("nothing", "clean", "pairs", "windows", "record", "record 512")
FACTS = {"cpu": ("model", "logical CPUs"), "memory": ("RAM total",), "system": ("OS", "kernel")}
"""Of the machine's, by section: what is printed. The rest is `llmflame machine`'s."""
PACKAGES = ("torch", "transformers", "memray", "py-spy", "pyinstrument", "viztracer")
QUIET_CPUS = 0.1
"""More than this by other processes, and two threads that wait for each other crawl."""
Measure = Callable[[], dict[str, Any]]


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    rounds: int
    requests: int
    """Of a process of `nothing` and of `clean`."""
    pairs: int
    windows: int
    timeout_s: float


def plan_of(options: argparse.Namespace) -> Plan:
    """The full plan, or one that only shows that every part works."""
    if options.quick:
        return Plan(1, 1, 3, 2, options.timeout)
    return Plan(options.rounds, 3, 30, 5, options.timeout)


def jobs(plan: Plan, only: set[str]) -> list[list[tuple[str, Measure]]]:
    """Rounds of named measurements; what is measured once is in the last round."""
    order, rounds = random.Random(0), []
    for number in range(plan.rounds):
        last = number == plan.rounds - 1
        names = [*(name for name in OWN if last or name in ("nothing", "clean", "record")), *peers.ALL]
        names = [name for name in names if not only or name in only]
        order.shuffle(names)
        rounds.append([(name, _job(name, plan, last)) for name in names])
    return rounds


def _job(name: str, plan: Plan, last: bool) -> Measure:
    timeout = plan.timeout_s
    if name in ("nothing", "clean"):
        return lambda: spawn.measure(name, "--requests", str(plan.requests), timeout_s=timeout)
    if name in ("pairs", "windows"):
        count = plan.pairs if name == "pairs" else plan.windows
        return lambda: spawn.measure(name, "--requests", str(count), timeout_s=4 * timeout)
    if name == "record":
        return lambda: spawn.measure("record", timeout_s=timeout)
    if name == "record 512":
        return lambda: spawn.measure("record", "--tokens", "512", timeout_s=2 * timeout)
    if name in peers.EXTERNAL:
        return lambda: spawn.measure_under_py_spy(name, timeout_s=timeout)
    table = ("--table",) if last else ()
    return lambda: spawn.measure("peer", "--peer", name, *table, timeout_s=timeout)


def run(plan: Plan, only: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Measure; every result by its name. A measurement that fails says so in its place."""
    raw: dict[str, list[dict[str, Any]]] = {}
    for number, measurements in enumerate(jobs(plan, only)):
        for name, measure in measurements:
            result = measure()
            raw.setdefault(name, []).append(result)
            outcome = result.get("error") or result.get("late_error") or "done"
            spent = f"{result.get('process_s', 0):.0f} s, others {result.get('other_cpus', 0):.2f} CPUs"
            print(f"round {number + 1}/{plan.rounds}  {name}: {outcome}, {spent}", file=sys.stderr)
    return raw


def describe(command: list[str]) -> dict[str, Any]:
    """What the numbers were taken on."""
    facts = read_machine(Path.home(), with_torch=False)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(command),
        "machine": ", ".join(
            f"{f.value} {f.unit or ''}".strip() for f in facts if f.name in FACTS.get(f.section, ())
        ),
        "software": ", ".join([f"Python {platform.python_version()}", *map(_version, PACKAGES)]),
    }


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed"


def _other_work(raw: dict[str, list[dict[str, Any]]]) -> str:
    shares = [
        result["other_cpus"] for results in raw.values() for result in results if "other_cpus" in result
    ]
    if not shares:
        return "not measured"
    text = f"median {median(shares):.2f} CPUs, worst {max(shares):.2f}"
    return (
        text
        if max(shares) < QUIET_CPUS
        else f"{text}: the machine was not idle, repeat before you believe this"
    )


def main() -> int:
    """Measure, write the two files, print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few measurements: shows that every part works")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", choices=[*OWN, *peers.ALL])
    parser.add_argument("--timeout", type=float, default=spawn.TIMEOUT_S, help="seconds for one process")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the two files")
    options = parser.parse_args()
    header = describe(["python", "benchmarks/overhead.py", *sys.argv[1:]])
    begin = time.monotonic()
    raw = run(plan_of(options), set(options.only))
    header["other work meanwhile"] = _other_work(raw)
    header["minutes"] = round((time.monotonic() - begin) / 60, 1)
    found, rows = figures(raw), peer_rows(raw, peers.ALL)
    document = {
        **header,
        "same text everywhere": len({t for rs in raw.values() for r in rs for t in r.get("texts", [])}) <= 1,
        "figures": [{**dataclasses.asdict(figure), "verdict": figure.verdict} for figure in found],
        "peers": rows,
        "raw": raw,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "overhead.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    text = page(header, found, rows)
    (options.output / "overhead.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

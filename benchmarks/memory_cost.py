"""What looking at memory costs, beside not looking and beside other memory profilers.

    python benchmarks/memory_cost.py [--pairs N] [--rounds N] [--threads N] [--device cuda]

What is compared runs in turn, in one process or in rounds of fresh ones. Results go to
`benchmarks/results/memory-cost.md` and `.json`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import memory_page, memory_peers, memory_timeline
from benchmarks.overhead import RESULTS, describe
from benchmarks.spawn import ROOT

PARTS = ("anatomy", "timeline", "counted", "peers")
TIMELINE_PAIRS = 8
"""For every pair of the others: its requests are short, and its bar is narrow."""
SLOW_S = 120
"""A tool that takes longer is run once."""
Raw = dict[str, Any]


def run(options: argparse.Namespace) -> Raw:
    """Measure the parts that were asked for."""
    raw: Raw = {}
    environment = memory_timeline.environment(options.threads)
    for part in options.only or PARTS:
        loads = [os.getloadavg()[0]]
        if part == "timeline":
            raw[part] = memory_timeline.measure(TIMELINE_PAIRS * options.pairs, environment)
        elif part == "peers":
            raw[part] = _peers(options, environment)
            continue
        else:
            raw[part] = _in_child(part, options.pairs, environment)
        raw[part]["load_average"] = [*loads, os.getloadavg()[0]]
        print(f"{part}: load average {raw[part]['load_average']}", file=sys.stderr)
    return raw


def _in_child(part: str, pairs: int, environment: dict[str, str]) -> Raw:
    command = [sys.executable, "-m", "benchmarks.memory_parts", part, "--requests", str(pairs)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found: Raw = json.loads(done.stdout.splitlines()[-1])
    return found


def _peers(options: argparse.Namespace, environment: dict[str, str]) -> dict[str, list[Raw]]:
    found: dict[str, list[Raw]] = {peer.name: [] for peer in memory_peers.PEERS}
    for number in range(options.rounds):
        for peer in memory_peers.PEERS:
            if number and (peer.once or _is_slow(found[peer.name][0])):
                continue
            result = memory_peers.measure(peer, options.device, environment, options.limit)
            found[peer.name].append(result)
            print(
                f"round {number + 1}/{options.rounds}  {peer.name}: {result.get('error', 'done')}, "
                f"{result.get('wall_s', 0):.0f} s, others {result.get('other_cpus', 0):.2f} CPUs",
                file=sys.stderr,
            )
    return found


def _is_slow(first: Raw) -> bool:
    return "error" in first or first["wall_s"] > SLOW_S


def header_of(options: argparse.Namespace, raw: Raw, minutes: float) -> dict[str, Any]:
    """What the numbers were taken on, and what else ran there."""
    header = describe(["python", "benchmarks/memory_cost.py", *sys.argv[1:]])
    header["software"] += "".join(f", {name} {_version(name)}" for name in ("scalene",))
    if options.threads:
        header["torch's threads"] = options.threads
    peers = [result for results in raw.get("peers", {}).values() for result in results]
    # What a stopped tool leaves behind is counted as somebody else's.
    shares = [result["other_cpus"] for result in peers if "error" not in result]
    if shares:
        header["CPUs used by other processes beside the tools"] = (
            f"median {median(shares):.2f}, worst {max(shares):.2f}"
        )
    loads = [load for part in PARTS[:3] if part in raw for load in raw[part]["load_average"]]
    if loads:
        header["load average around the other parts, their own included"] = (
            f"{min(loads):.1f} to {max(loads):.1f}"
        )
    header["minutes"] = round(minutes, 1)
    return header


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def main() -> int:
    """Measure, write the two files, print the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7, help="requests of each kind")
    parser.add_argument("--rounds", type=int, default=3, help="fresh processes of each tool")
    parser.add_argument("--threads", type=int, default=0, help="torch's; 0: as many as it likes")
    parser.add_argument("--device", default="cpu", help="of the other tools' part")
    parser.add_argument("--limit", type=float, default=memory_peers.LIMIT_S, help="seconds for one process")
    parser.add_argument("--only", nargs="+", default=[], choices=PARTS)
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the two files")
    options = parser.parse_args()
    begin = time.monotonic()
    raw = run(options)
    header = header_of(options, raw, (time.monotonic() - begin) / 60)
    figures, rows = memory_page.figures(raw), memory_page.peer_rows(raw.get("peers", {}))
    document = {
        **header,
        "figures": [{**dataclasses.asdict(figure), "verdict": figure.verdict} for figure in figures],
        "peers": rows,
        "raw": raw,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    text = memory_page.page(header, figures, rows)
    (options.output / "memory-cost.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (options.output / "memory-cost.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

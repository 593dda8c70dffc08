"""Measures how long a person waits for `show` and each export: whole commands, each in a fresh process.

python benchmarks/looking.py demo.llmflame                    # writes results/looking.json and looking.md
python benchmarks/looking.py demo.llmflame --rounds 3 --out looking.json
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.overhead import RESULTS, describe  # noqa: E402
from llmflame.exports.formats import FORMATS  # noqa: E402

MOST_FIRST_S = 0.5
"""Until `show` prints its first line."""
MOST_EXPORT_S = 1.0
Sample = dict[str, float]


def commands(profile: Path, folder: Path) -> dict[str, list[str]]:
    """What is measured, by name."""
    exports = {
        f"export {name}": ["export", str(profile), "--format", name, "-o", str(folder / name), "--force"]
        for name in FORMATS
    }
    return {
        "nothing": [],
        "--help": ["--help"],
        "show": ["show", str(profile)],
        "show --json": ["show", str(profile), "--json"],
        "show --view tree": ["show", str(profile), "--view", "tree"],
        **exports,
    }


def run_once(arguments: list[str], environment: dict[str, str]) -> Sample:
    """One process: seconds until its first byte and until its end, and the CPU time it took."""
    program = ["-m", "llmflame", *arguments] if arguments else ["-c", "pass"]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    child = subprocess.Popen([sys.executable, *program], stdout=subprocess.PIPE, env=environment, cwd=ROOT)
    assert child.stdout is not None
    child.stdout.read(1)
    first = time.perf_counter() - began
    child.stdout.read()
    if child.wait():
        raise SystemExit(f"{arguments} ended with {child.returncode}")
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"first_s": first, "wall_s": wall, "cpu_s": cpu}


def measure(profile: Path, rounds: int) -> dict[str, list[Sample]]:
    """All commands in turn, round by round; one round before that fills the caches of files and bytecode."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONPATH": str(ROOT / "src")}
        wanted = commands(profile, folder)
        found: dict[str, list[Sample]] = {name: [] for name in wanted}
        for number in range(rounds + 1):
            for name, arguments in wanted.items():
                sample = run_once(arguments, environment)
                if number:
                    found[name].append(sample)
    return found


def page(header: dict[str, Any], samples: dict[str, list[Sample]]) -> str:
    """Markdown: one row a command, medians, beside their targets."""
    lines = ["# How long looking takes", "", *(f"- {name}: {value}" for name, value in header.items()), ""]
    lines += [
        "Whole commands, each in a fresh process with warm files and compiled modules, in turn; medians in "
        "seconds, and the fastest in parentheses: on a busy machine that one, and CPU time, say more.",
        "",
        "| command | first output | end | CPU | target | verdict |",
        "|---|---:|---:|---:|---|---|",
    ]
    for name, found in samples.items():
        first, end, cpu = (_cell([one[key] for one in found]) for key in ("first_s", "wall_s", "cpu_s"))
        target, verdict = "", "-"
        if name == "show":
            target, met = f"first output ≤ {MOST_FIRST_S} s", _median(found, "first_s") <= MOST_FIRST_S
            verdict = "pass" if met else "FAIL"
        elif name.startswith("export"):
            target, met = f"end ≤ {MOST_EXPORT_S:.0f} s", _median(found, "wall_s") <= MOST_EXPORT_S
            verdict = "pass" if met else "FAIL"
        lines.append(f"| `{name}` | {first} | {end} | {cpu} | {target} | {verdict} |")
    return "\n".join(lines) + "\n"


def _median(samples: list[Sample], key: str) -> float:
    return median(sample[key] for sample in samples)


def _cell(values: list[float]) -> str:
    return f"{median(values):.2f} ({min(values):.2f})"


def main() -> None:
    """Measure, and write the two files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("profile", type=Path, help="a recording of the demo")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS / "looking.json")
    options = parser.parse_args()
    profile = options.profile.resolve()
    before = os.getloadavg()[0]
    samples = measure(profile, options.rounds)
    words = ["python", "benchmarks/looking.py", profile.name, *sys.argv[2:]]
    header = {
        **describe(words),
        "profile": f"{profile.name}, {profile.stat().st_size:,} bytes",
        "rounds": options.rounds,
        "load average before and after, its own included": f"{before:.1f}, {os.getloadavg()[0]:.1f}",
    }
    document = {"header": header, "samples": samples}
    options.out.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    options.out.with_suffix(".md").write_text(page(header, samples), "utf-8")
    print(options.out.with_suffix(".md").read_text("utf-8"))


if __name__ == "__main__":
    main()

"""What is recorded on a CUDA machine, in one go: tests, a profile of a real shape, its views.

    python benchmarks/gpu_check.py all --out results-folder

Sub-commands: `facts`, `tests`, `profile`, `verify`, `cost`, `faults`, `memory`, `stalls`; any number of
them, or `all`. Each writes into --out and goes on where another failed. Try them on a CPU first: `--device
cpu --dtype float32 --model demo`, and `--small` for the planted faults. `facts` measures the ceilings that
the others use.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 500


def run(out: Path, name: str, *command: str) -> int:
    """Run a command; keep and show what it printed."""
    print(f"== {name}: {' '.join(command)}", flush=True)
    try:
        result = subprocess.run(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
        )
        printed, code = _own_lines(result.stdout), result.returncode
    except subprocess.TimeoutExpired as error:
        before = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
        printed, code = f"{error}\n{before}", 124
    (out / name).write_text(printed)
    print(printed[-3000:], flush=True)
    return code


def _own_lines(printed: str) -> str:
    """Without what the tracer's library writes to standard error at each session."""
    return "".join(line for line in printed.splitlines(keepends=True) if not line.startswith("USDT:"))


def facts(out: Path, _: argparse.Namespace) -> int:
    """What the machine is, and what it reaches."""
    return run(out, "machine.txt", "-m", "llmflame", "machine", "--measure")


def tests(out: Path, _: argparse.Namespace) -> int:
    """The tests that need a CUDA device, and the live ones on this machine's releases of torch."""
    command = ["-m", "pytest", "-p", "no:cacheprovider", "-vv", "tests/gpu", "tests/integration/test_live.py"]
    return run(out, "tests.txt", *command)


def profile(out: Path, options: argparse.Namespace) -> int:
    """A profile by the command line, and its views."""
    file, page = out / "run.llmflame", out / "run.html"
    command = ["-m", "llmflame", "profile", options.model, "-o", str(file), "--report", str(page), "--force"]
    command += ["--device", options.device, "--dtype", options.dtype]
    command += ["--prompt-tokens", "16", "--new-tokens", str(options.new_tokens)]
    code = run(out, "summary.txt", *command)
    run(out, "summary.json", "-m", "llmflame", "show", str(file), "--json")
    for view in ("ops", "phases", "steps", "kernels", "idle", "roofline", "findings"):
        run(out, f"{view}.txt", "-m", "llmflame", "show", str(file), "--view", view)
    for metric in ("wall", "host", "device", "idle"):
        run(
            out,
            f"tree-{metric}.txt",
            "-m",
            "llmflame",
            "show",
            str(file),
            "--view",
            "tree",
            "--metric",
            metric,
        )
    return code


def verify(out: Path, options: argparse.Namespace) -> int:
    """Profiles of two real shapes against a raw trace and a calculation by hand."""
    code = 0
    for case in options.cases:
        name = f"verify-{case.replace(' ', '-')}.json"
        code = max(
            code, run(out, name, "benchmarks/gpu_verify.py", case, options.device, options.dtype, str(out))
        )
    return code


def cost(out: Path, options: argparse.Namespace) -> int:
    """What recording costs, beside nothing and beside torch.profiler with everything."""
    shape = "llama-3.2-1b"
    return run(out, "cost.json", "benchmarks/gpu_cost.py", shape, options.device, options.dtype)


def memory(out: Path, options: argparse.Namespace) -> int:
    """Whether peaks are explained, counts exact, plans right, and planted memory faults found."""
    check = ["benchmarks/memory_check.py", str(out / "memory.json"), "--device", options.device]
    return run(out, "memory.txt", *check, "--dtype", options.dtype)


def faults(out: Path, options: argparse.Namespace) -> int:
    """Planted faults."""
    small = ["--small"] if options.small else []
    return run(out, "faults.txt", "benchmarks/gpu_faults.py", str(out / "faults.json"), *small)


def stalls(out: Path, _: argparse.Namespace) -> int:
    """Whether sampled stalls are true, and what they cost; a profile with them."""
    code = run(
        out, "stalls-planted.txt", "benchmarks/gpu_stalls.py", "planted", str(out / "stalls-planted.json")
    )
    for model in ("llama-3.2-1b", "llama-3.1-8b"):
        for check in ("cost", "agree"):
            name = f"{check}-{model}"
            command = ("benchmarks/gpu_stalls.py", check, str(out / f"stalls-{name}.json"), model)
            code = max(code, run(out, f"stalls-{name}.txt", *command))
    return code


CASES = (
    "llama-3.2-1b",
    "llama-3.1-8b",
    "llama-3.2-1b batch 8 x 512",
    "llama-3.1-8b batch 8 x 512",
)
COMMANDS: dict[str, Callable[[Path, argparse.Namespace], int]] = {
    "facts": facts,
    "tests": tests,
    "profile": profile,
    "verify": verify,
    "cost": cost,
    "faults": faults,
    "memory": memory,
    "stalls": stalls,
}


def main() -> int:
    """Run one sub-command or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("commands", nargs="+", choices=[*COMMANDS, "all"])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--model", default="dummy:llama-3.2-1b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    parser.add_argument("--small", action="store_true", help="planted faults in a tiny model, on a CPU")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = list(COMMANDS) if "all" in options.commands else options.commands
    return max(COMMANDS[name](options.out, options) for name in chosen)


if __name__ == "__main__":
    sys.exit(main())

"""What is recorded on a CUDA machine, in one go: tests, a profile of a real shape, its views.

    python benchmarks/gpu_check.py all --out results-folder

Sub-commands: `facts`, `tests`, `profile`, `all`. Each writes into --out and goes on where another failed.
`profile` takes --model, --device, --dtype: try it on a CPU first with `--model demo --device cpu`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT_S = 420


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
        printed, code = result.stdout, result.returncode
    except subprocess.TimeoutExpired as error:
        before = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
        printed, code = f"{error}\n{before}", 124
    (out / name).write_text(printed)
    print(printed[-3000:], flush=True)
    return code


def facts(out: Path, _: argparse.Namespace) -> int:
    """What the machine is."""
    return run(out, "machine.txt", "-m", "llmflame", "machine")


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
    for view in ("ops", "phases", "steps"):
        run(out, f"{view}.txt", "-m", "llmflame", "show", str(file), "--view", view)
    return code


COMMANDS: dict[str, Callable[[Path, argparse.Namespace], int]] = {
    "facts": facts,
    "tests": tests,
    "profile": profile,
}


def main() -> int:
    """Run one sub-command or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=[*COMMANDS, "all"])
    parser.add_argument("--out", type=Path, default=Path("gpu-results"))
    parser.add_argument("--model", default="dummy:llama-3.2-1b")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--new-tokens", type=int, default=128)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = list(COMMANDS) if options.command == "all" else [options.command]
    return max(COMMANDS[name](options.out, options) for name in chosen)


if __name__ == "__main__":
    sys.exit(main())

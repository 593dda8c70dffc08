"""Real processes: what crashes, hangs or is killed is a row that failed, and nothing of it is left."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from llmflame.analysis.experiment.experiment import experiment_of
from llmflame.lab.order import LabOrder
from llmflame.lab.processes import TrialProcesses
from llmflame.lab.rows import read_rows
from llmflame.lab.run import Means, run_experiment
from llmflame.lab.trial import TrialSpec
from llmflame.store.profile import read_profile
from tests.lab.planted import Planted
from tests.lab.simulated import checkpoint

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def tests_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def spec(folder: Path, *variants: str) -> TrialSpec:
    folder.mkdir(exist_ok=True)
    return TrialSpec("tiny", "transformers", variants, "cpu", "float32", 1, 4, 4, 1, 1, None, 0, str(folder))


def runner(folder: Path, seconds: float = 60.0) -> TrialProcesses:
    return TrialProcesses(seconds, folder, worker="tests.lab.planted")


def is_gone(pid: int) -> bool:
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_trial_is_a_process_of_its_own(tmp_path: Path) -> None:
    ran = runner(tmp_path).run(spec(tmp_path / "a"))
    assert ran.result.outcome == "done" and ran.wall_ns > 5 * 2_000_000
    assert Path(str(ran.result.tokens)).is_file()


@pytest.mark.parametrize(
    ("variant", "words"),
    [
        ("crash", "ended with exit code 1: RuntimeError: planted to crash"),
        ("kill", "the process was killed by SIGSEGV"),
    ],
)
def test_one_that_dies_has_failed(tmp_path: Path, variant: str, words: str) -> None:
    result = runner(tmp_path).run(spec(tmp_path / "a", variant)).result
    assert (result.outcome, result.reason) == ("failed", words)


def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    result = runner(tmp_path, 4.0).run(spec(tmp_path / "a", "hang")).result
    assert (result.outcome, result.reason) == ("failed", "ended after 4 s, its time limit")
    assert is_gone(int((tmp_path / "hanging.pid").read_text()))


@pytest.mark.parametrize("text", ["", "{", "[]", '{"outcome": "done"}', "null"])
def test_a_worker_that_writes_nonsense_has_failed(tmp_path: Path, text: str) -> None:
    module = tmp_path / "nonsense.py"
    module.write_text(
        f"import sys, pathlib\npathlib.Path(sys.argv[1]).with_name('result.json').write_text({text!r})\n"
    )
    os.environ["PYTHONPATH"] = str(tmp_path)
    result = TrialProcesses(60, tmp_path, worker="nonsense").run(spec(tmp_path / "a")).result
    assert result.outcome == "failed"


def test_an_experiment_of_real_processes(tmp_path: Path) -> None:
    """Faster by half, wrong, and one that crashes: 13 processes of a tenth of a second."""
    order = LabOrder(
        "tiny",
        read_rows("fast,wrong,crash", "transformers"),
        rounds=5,
        new_tokens=8,
        time_limit_s=60,
        profiles=False,
    )
    output = tmp_path / "lab.llmflame"
    run_experiment(checkpoint(tmp_path), order, output, Means(Planted(), "tests.lab.planted"))
    found = experiment_of(read_profile(output))
    verdicts = {result.row.row: result.verdict for result in found.results}
    assert verdicts["wrong"] == "disagrees" and verdicts["crash"] == "failed"
    # How sure it is depends on the machine; what it may not be doesn't.
    assert verdicts["fast"] in ("faster", "no difference")
    assert {path.name for path in tmp_path.iterdir()} == {"tokenizer.json", "lab.llmflame"}

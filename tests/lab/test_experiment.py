"""Planted variants get the verdict that they deserve; trials are simulated, everything else is real."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from llmflame.analysis.experiment.document import document
from llmflame.analysis.experiment.experiment import experiment_of
from llmflame.analysis.experiment.results import Result
from llmflame.errors import ProgramFailedError, UnreadableProfileError, UsageError
from llmflame.store.profile import read_profile
from tests.lab.simulated import FakeRunner, experiment

EVERYTHING = "wrong,nothing,slow,fast,hungry,crash,recompile,impossible,rounded,ruined,bits,unsteady,hot"


def by_name(
    folder: Path, rows: str, runner: FakeRunner | None = None, **options: object
) -> dict[str, Result]:
    found = experiment_of(experiment(folder, rows, runner, **options))  # type: ignore[arg-type]
    return {result.row.row: result for result in found.results}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Result]:
    return by_name(tmp_path_factory.mktemp("lab"), EVERYTHING, FakeRunner(noise=0.01))


@pytest.mark.parametrize(
    ("row", "verdict", "agreement"),
    [
        ("stock", "stock", "agrees"),
        ("wrong", "disagrees", "disagrees"),
        ("nothing", "no difference", "agrees"),
        ("slow", "slower", "agrees"),
        ("fast", "faster", "agrees"),
        ("hungry", "no difference", "agrees"),
        ("crash", "failed", "unchecked"),
        ("recompile", "slower", "agrees"),
        ("impossible", "skipped", "unchecked"),
        ("rounded", "faster", "agrees"),
        ("ruined", "disagrees", "disagrees"),
        ("bits", "no difference", "agrees"),
        ("unsteady", "disagrees", "disagrees"),
        ("hot", "no difference", "agrees"),
    ],
)
def test_the_verdict_of_each(verdicts: dict[str, Result], row: str, verdict: str, agreement: str) -> None:
    result = verdicts[row]
    assert (result.verdict, result.agreement.verdict) == (verdict, agreement)


def test_what_is_told_with_them(verdicts: dict[str, Result]) -> None:
    assert verdicts["hungry"].memory == "needs more" and verdicts["fast"].memory == "same"
    assert "RuntimeError: planted to crash" in str(verdicts["crash"].reason)
    assert verdicts["impossible"].reason == "needs a device of another kind"
    assert "compiled 3 times in its measured requests" in verdicts["recompile"].notes[0]
    assert verdicts["hot"].notes == ("the clock fell in round 2",)
    assert "round 1 generated other tokens" in str(verdicts["unsteady"].reason)
    assert "perplexity" in verdicts["rounded"].agreement.words


def test_a_row_without_agreement_has_no_figure_and_no_speed(verdicts: dict[str, Result]) -> None:
    for name in ("wrong", "ruined", "unsteady", "crash", "impossible"):
        assert verdicts[name].figures is None and verdicts[name].speedup is None
        assert verdicts[name].memory is None


def test_a_row_that_disagrees_is_never_timed(tmp_path: Path) -> None:
    """So that its file holds no time from which somebody could work out a speed-up."""
    runner = FakeRunner()
    profile = experiment(tmp_path, "wrong,fast", runner)
    assert sum(spec.variants == ("wrong",) for spec in runner.seen) == 1
    assert {trial.purpose for trial in profile.trials if trial.row == "wrong"} == {"check"}


def test_figures(verdicts: dict[str, Result]) -> None:
    figures = verdicts["fast"].figures
    assert figures is not None
    # 8 tokens, half a millisecond each, as the planted worker has it.
    assert figures.tokens_per_s == pytest.approx(2000, rel=0.05)
    assert figures.tpot_ns == pytest.approx(0.5e6, rel=0.05)
    assert figures.joule_per_token == pytest.approx(0.5 / 8)
    assert figures.energy_source == "RAPL" and figures.compile_ns is None
    recompiled = verdicts["recompile"].figures
    assert recompiled is not None and recompiled.compile_ns == pytest.approx(2 * 1.6 * 8e6, rel=0.1)


def test_a_ratio_holds_what_was_planted(verdicts: dict[str, Result]) -> None:
    for name, ratio in (("fast", 2.0), ("slow", 1 / 1.5)):
        gain = verdicts[name].speedup
        assert gain is not None and gain.low < ratio < gain.high and gain.rounds == 5


def test_40_experiments_in_which_nothing_differs_find_at_most_2_differences(tmp_path: Path) -> None:
    wrong = 0
    for number in range(40):
        (folder := tmp_path / str(number)).mkdir()
        runner = FakeRunner(noise=0.03, seen=[])
        found = by_name(folder, "nothing", runner, seed=number, repetitions=1)
        wrong += found["nothing"].verdict != "no difference"
    assert wrong <= 2


def test_rows_take_turns_in_an_order_that_differs_from_round_to_round(tmp_path: Path) -> None:
    profile = experiment(tmp_path, "fast,slow,nothing", rounds=6)
    orders = [[trial.row for trial in profile.trials if trial.round == number] for number in range(1, 7)]
    assert all(sorted(order) == ["fast", "nothing", "slow", "stock"] for order in orders)
    assert len({tuple(order) for order in orders}) > 2


def test_in_bfloat16_errors_are_measured_against_the_stock_model_in_float32(tmp_path: Path) -> None:
    runner = FakeRunner()
    found = by_name(tmp_path, "fast,wrong", runner, dtype="bfloat16")
    assert [spec.dtype for spec in runner.seen[:3]] == ["bfloat16", "float32", "bfloat16"]
    assert found["fast"].verdict == "faster" and "times the stock error" in found["fast"].agreement.words
    assert found["wrong"].verdict == "disagrees"


def test_where_float32_does_not_fit_fixed_limits_stand_in(tmp_path: Path) -> None:
    found = by_name(tmp_path, "fast,wrong", FakeRunner(broken="float32"), dtype="bfloat16")
    assert found["fast"].verdict == "faster" and "no float32 model" in found["fast"].agreement.words
    assert found["wrong"].verdict == "disagrees"


def test_batch_sizes_are_rows_of_their_own_each_compared_with_its_own_stock(tmp_path: Path) -> None:
    profile = experiment(tmp_path, "fast", batches=(1, 4))
    shown = document(experiment_of(profile))
    assert [row["label"] for row in shown["rows"]] == ["stock@1", "fast@1", "stock@4", "fast@4"]
    rates = {row["label"]: row["figures"]["tokens_per_s"] for row in shown["rows"]}
    assert rates["stock@4"] == pytest.approx(4 * rates["stock@1"])


def test_random_weights_are_compared_by_their_logits_alone(tmp_path: Path) -> None:
    found = by_name(tmp_path, "unsteady,wrong", random_weights=True)
    assert found["unsteady"].verdict == "no difference" and found["wrong"].verdict == "disagrees"
    assert found["unsteady"].notes == ("its tokens differ from process to process",)


def test_where_the_stock_model_fails_the_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ProgramFailedError, match="the stock model could not be run: planted"):
        experiment(tmp_path, "fast", FakeRunner(broken="float32"))
    profile = read_profile(tmp_path / "lab.llmflame")
    assert profile.run.status == "failed"
    assert [one.verdict for one in experiment_of(profile).results] == ["failed", "unclear"]


def test_an_interrupted_experiment_says_what_it_knows(tmp_path: Path) -> None:
    class Impatient(FakeRunner):
        def run(self, spec):  # type: ignore[no-untyped-def]
            if len(self.seen) == 6:
                raise KeyboardInterrupt
            return super().run(spec)

    with pytest.raises(KeyboardInterrupt):
        experiment(tmp_path, "fast", Impatient())
    profile = read_profile(tmp_path / "lab.llmflame")
    assert profile.run.status == "partial"
    assert [one.verdict for one in experiment_of(profile).results] == ["stock", "unclear"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ("nonsense", {}, "no variant nonsense"),
        ("fast+fast", {}, "exclude each other"),
        ("fast", {"rounds": 3}, "--rounds 3: at least 4"),
        ("fast", {"new_tokens": 600}, "more than the 512"),
        ("fast", {"dtype": "int3"}, "--dtype int3"),
        ("fast", {"time_limit_s": 0.0}, "--time-limit 0"),
        ("fast", {"ladder": True, "batches": (1, 2)}, "--ladder goes with one batch size"),
    ],
)
def test_what_can_not_be_run_leaves_nothing_behind(
    tmp_path: Path, rows: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        experiment(tmp_path, rows, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "lab.llmflame").exists()


# --- profiles of rows ------------------------------------------------------------------------------------


def test_each_row_that_was_timed_keeps_its_profile(tmp_path: Path) -> None:
    runner = FakeRunner()
    profile = experiment(tmp_path, "fast,wrong,crash", runner, profiles=True)
    assert [(one.row, one.batch) for one in profile.row_profiles] == [("fast", 1), ("stock", 1)]
    with sqlite3.connect(tmp_path / "lab.llmflame") as db:
        sizes = dict(db.execute("SELECT row, size FROM row_profile").fetchall())
    assert sizes["fast"] == len(b"what a profile would be: fast")
    with pytest.raises(UnreadableProfileError, match="wrong; rows with a profile: fast@1, stock@1"):
        read_profile(tmp_path / "lab.llmflame:wrong")


# --- ladders ---------------------------------------------------------------------------------------------


def test_a_ladder_keeps_what_pays_the_best_first(tmp_path: Path) -> None:
    profile = experiment(
        tmp_path, "slow,fast-too,wrong,nothing,fast,crash", FakeRunner(noise=0.01), ladder=True
    )
    shown = document(experiment_of(profile))
    assert [rung["row"] for rung in shown["ladder"]] == ["stock", "fast", "fast+fast-too"]
    rows = {row["row"]: row for row in shown["rows"]}
    assert rows["fast+fast-too"]["base"] == "fast"
    assert rows["fast+fast-too"]["step_speedup"]["ratio"] == pytest.approx(1.25, rel=0.05)
    assert rows["fast+fast-too"]["speedup"]["ratio"] == pytest.approx(2.5, rel=0.05)
    assert rows["slow"]["verdict"] == "unclear" and "passed over" in rows["slow"]["reason"]
    assert rows["wrong"]["figures"] is None
    assert not any("wrong" in name and "+" in name for name in rows)


def test_a_ladder_on_which_nothing_pays_ends_at_once(tmp_path: Path) -> None:
    shown = document(experiment_of(experiment(tmp_path, "slow,nothing", FakeRunner(noise=0.01), ladder=True)))
    assert [rung["row"] for rung in shown["ladder"]] == ["stock"]
    assert {row["row"] for row in shown["rows"]} == {"stock", "slow", "nothing"}


def test_a_ladder_of_the_other_engine_begins_with_it_as_it_comes(tmp_path: Path) -> None:
    shown = document(
        experiment_of(experiment(tmp_path, "fast", FakeRunner(noise=0.01), ladder=True, engine="scratch"))
    )
    assert [rung["row"] for rung in shown["ladder"]] == ["stock", "scratch", "scratch:fast"]

"""A trial from its description to its result, on small models and both engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmflame.lab import worker
from llmflame.lab.trial import TrialResult, TrialSpec
from llmflame.lab.variants import registry
from llmflame.lab.variants.setup import Setup
from llmflame.lab.variants.variant import Variant
from llmflame.store.profile import read_profile
from tests.scratch import small

PROMPT, NEW = 6, 9


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    small.write(folder, small.LLAMA)
    return folder


def spec(model: Path, folder: Path, *variants: str, **changes: Any) -> TrialSpec:
    values: dict[str, Any] = {
        "model": str(model),
        "engine": "scratch",
        "variants": variants,
        "device": "cpu",
        "dtype": "float32",
        "batch": 1,
        "prompt_tokens": PROMPT,
        "new_tokens": NEW,
        "warmups": 1,
        "repetitions": 2,
        "threads": None,
        "seed": 0,
        "folder": str(folder),
    }
    return TrialSpec(**{**values, **changes})


def run(given: TrialSpec) -> TrialResult:
    """In this process; a trial that went wrong shows why."""
    result = worker.run(given)
    assert TrialResult.from_json(result.to_json()) == result
    return result


def tokens_of(result: TrialResult) -> list[list[int]]:
    assert result.outcome == "done", result.reason
    assert result.tokens is not None
    found: list[list[int]] = np.load(result.tokens).tolist()
    return found


def test_a_process_of_its_own(model: Path, tmp_path: Path) -> None:
    given = spec(model, tmp_path, "static-cache", "fused-projections")
    (tmp_path / "spec.json").write_text(given.to_json())
    done = subprocess.run(
        [sys.executable, "-m", "llmflame.lab.worker", str(tmp_path / "spec.json")],
        env={**os.environ, "PYTHONPATH": str(Path(worker.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result = TrialResult.from_json((tmp_path / worker.RESULT).read_text())
    assert result.outcome == "done" and result.repeatable
    assert len(result.warmup_ns) == 1 and len(result.requests) == 2
    for request in result.requests:
        assert len(request.step_ns) == NEW - 1 and min(request.step_ns) > 0
        assert request.ttft_ns + sum(request.step_ns) <= request.wall_ns
    assert result.load_ns and result.peak_host_bytes and result.weight_bytes and result.step_flop
    assert result.recompilations is None and result.peak_device_bytes is None
    assert [reading.when for reading in result.readings] == ["before", "after"]
    assert set(result.versions) >= {"python", "torch"}
    assert np.load(str(result.tokens)).shape == (1, NEW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json", "spec.json", "tokens.npy"]


HUB = (
    (),
    ("static-cache",),
    ("sdpa",),
    ("eager-attention",),
    ("chunked-prefill",),
    ("prompt-lookup",),
    ("huge-pages",),
    ("threads-1",),
)


@pytest.mark.parametrize("variants", HUB, ids=lambda names: "+".join(names) or "plain")
def test_both_engines_and_their_variants_say_the_same(
    variants: tuple[str, ...], model: Path, tmp_path: Path
) -> None:
    """Tokens in float32, and logits for given tokens through the path that generates."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = run(spec(model, tmp_path / "a"))
    tokens = tokens_of(plain)
    from llmflame.lab.prompt import prompt_ids

    prompt = prompt_ids(model, 1, PROMPT).tolist()
    forced = tmp_path / "forced.npy"
    np.save(forced, np.array([prompt[0] + tokens[0]]))
    logits = []
    for folder, engine, names in (("a", "scratch", ()), ("b", "transformers", variants)):
        given = spec(model, tmp_path / folder, *names, engine=engine, forced=str(forced))
        result = run(given)
        assert tokens_of(result) == tokens
        logits.append(np.load(str(result.logits)))
    assert logits[0].shape == logits[1].shape == (1, NEW, 300)
    assert logits[0].dtype == np.float32
    assert np.abs(logits[0] - logits[1]).max() <= 2e-5
    assert logits[0].argmax(-1).tolist() == tokens


@pytest.mark.parametrize("engine", ["scratch", "transformers"])
def test_a_batch_begins_with_the_same_row(engine: str, model: Path, tmp_path: Path) -> None:
    one = tokens_of(run(spec(model, tmp_path, engine=engine)))
    result = run(spec(model, tmp_path, "batch-3", engine=engine))
    three = tokens_of(result)
    assert len(three) == 3 and three[0] == one[0] and three[1] != three[0]
    alone = run(spec(model, tmp_path, engine=engine))
    assert result.step_flop == 3 * (alone.step_flop or 0)


def test_a_compiled_step_is_compiled_before_it_counts(model: Path, tmp_path: Path) -> None:
    given = spec(model, tmp_path, "static-cache", "compile", warmups=2)
    (tmp_path / "spec.json").write_text(given.to_json())
    environment = {**os.environ, "PYTHONPATH": str(Path(worker.__file__).parents[2])}
    command = [sys.executable, "-m", "llmflame.lab.worker", str(tmp_path / "spec.json")]
    subprocess.run(command, env=environment, capture_output=True, check=True)
    result = TrialResult.from_json((tmp_path / worker.RESULT).read_text())
    assert result.outcome == "done", result.reason
    assert result.recompilations == 0
    assert result.warmup_ns[0] > result.warmup_ns[1]


def test_a_profile_of_the_trial(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "trial.llmflame"
    result = run(spec(model, tmp_path, "static-cache", "fused-projections", profile=str(file)))
    assert (result.outcome, result.profile_note) == ("done", "")
    profile = read_profile(file)
    assert len([span for span in profile.spans if span.pass_name == "clean" and span.name == "step"]) >= NEW


def test_what_a_machine_cannot_do_is_skipped(model: Path, tmp_path: Path) -> None:
    result = run(spec(model, tmp_path, "static-cache", "cuda-graph"))
    assert result == TrialResult("skipped", "cuda-graph: CUDA graphs need a CUDA device")
    result = run(spec(model, tmp_path, "fused-projections", engine="transformers"))
    assert result == TrialResult("skipped", "fused-projections applies to scratch alone")
    # What another variant changes counts: the trial's own batch is 1.
    result = run(spec(model, tmp_path, "static-cache", "fused-projections", "fused-kernels", "batch-2"))
    assert result.outcome == "skipped" and "one sequence, not 2" in result.reason


def test_what_is_wrong_is_one_line(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "forced.npy", np.zeros((2, 40), dtype=np.int64))
    for given, said in (
        (spec(model, tmp_path, "no-such"), "there is no variant `no-such`"),
        (spec(model, tmp_path, "bf16", "fp16"), "exclude each other"),
        (spec(tmp_path / "nowhere", tmp_path), "there is no model"),
        (spec(model, tmp_path, forced=str(tmp_path / "forced.npy")), "forced tokens are [2, 40] instead of"),
    ):
        result = run(given)
        assert result.outcome == "failed" and said in result.reason and "\n" not in result.reason


def test_a_variant_that_breaks_fails_its_trial(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(_setup: Setup) -> None:
        raise RuntimeError("first line\nsecond line")

    planted = Variant(
        name="crash",
        changes="It crashes.",
        helps="It doesn't.",
        phases=("decode",),
        equality="bitwise",
        slot="crash",
        apply={"scratch": crash},
    )
    monkeypatch.setattr(registry, "VARIANTS", (*registry.VARIANTS, planted))
    assert run(spec(model, tmp_path, "crash")) == TrialResult("failed", "RuntimeError: first line")


def test_a_result_that_cannot_be_written_is_an_error(model: Path, tmp_path: Path) -> None:
    given = spec(model, tmp_path / "nowhere", "no-such")
    (tmp_path / "spec.json").write_text(json.dumps(json.loads(given.to_json())))
    from llmflame.errors import UsageError

    with pytest.raises(UsageError, match="can't write"):
        worker.main([str(tmp_path / "spec.json")])

"""The real model through the whole way of the data, in real child processes."""

from __future__ import annotations

import sqlite3

import pytest

from llmflame.analysis.coverage import wall_coverage
from llmflame.analysis.phases import ORDER, decode_steps, phase_spans, run_wall_ns
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.summary import summarise
from llmflame.store.profile import Profile
from llmflame.store.rows import IMPORTED
from tests.integration.conftest import NEW_TOKENS, REPETITIONS

pytestmark = pytest.mark.demo


def test_every_phase_is_there_in_order(demo_profile: Profile) -> None:
    assert demo_profile.run.status == "complete"
    assert tuple(span.name for span in phase_spans(demo_profile)) == tuple(
        name for name in ORDER if name != IMPORTED
    )
    assert {row.name: row.status for row in demo_profile.passes} == {
        "clean": "complete",
        "memory": "complete",
        "anatomy": "complete",
    }


def test_each_new_token_is_a_step(demo_profile: Profile) -> None:
    for repetition in range(REPETITIONS):
        steps = decode_steps(demo_profile, repetition=repetition)
        assert [step.step for step in steps] == list(range(1, NEW_TOKENS))
        prompt = demo_profile.subject["prompt_tokens"]
        assert [step.kv_tokens for step in steps] == [prompt + done for done in range(NEW_TOKENS - 1)]


def test_tree_total_is_the_measured_wall(demo_profile: Profile) -> None:
    tree = build_run_tree(demo_profile).tree
    assert sum(tree.selfs["wall_ns"]) == pytest.approx(run_wall_ns(demo_profile), rel=1e-9)
    totals = tree.totals("wall_ns")
    by_phase = {tree.frame(n).name: totals[n] for n, p in enumerate(tree.parents) if p == 0}
    for span in phase_spans(demo_profile):
        assert by_phase[span.name] == pytest.approx(span.wall_ns, abs=1), span.name


def test_phases_that_matter_are_charged_to_named_frames(demo_profile: Profile) -> None:
    """A sampler that a busy machine gave no CPU says for how long: that time alone may be nobody's.

    Once it was not: 20 ms of a warm-up were nobody's. A sample of llmflame's own code had no frame, and a
    sampled stretch ended before its phase did, which may lose its CPU in between: they are one instant now.
    """
    covered = wall_coverage(build_run_tree(demo_profile).tree)
    starved = {row.name.rpartition(" ")[2]: row.value or 0.0 for row in demo_profile.probe_reports
               if row.probe == "sampler" and row.name.startswith("without a CPU in ")}  # fmt: skip
    assert set(starved) == {"import", "load", "warmup"}
    for span in phase_spans(demo_profile):
        if span.wall_ns > 50e6:
            assert covered[span.name] + starved.get(span.name, 0.0) / span.wall_ns >= 0.98, span.name


def test_windows_are_where_the_plan_says(demo_profile: Profile) -> None:
    traced = {(w.span_name, w.step) for w in demo_profile.windows if w.kind == "traced"}
    assert traced == {
        ("load", None),
        ("tokenize", None),
        ("prepare", None),
        ("prefill", 0),
        ("decode", 1),
        ("decode", 8),
        ("detokenize", None),
    }
    sampled = {w.span_name for w in demo_profile.windows if w.kind == "sampled"}
    assert sampled == {"import", "load", "warmup"}
    assert sum(w.dropped or 0 for w in demo_profile.windows) == 0


def test_module_paths_are_the_models_own(demo_profile: Profile) -> None:
    modules = {frame.module for frame in demo_profile.frames.values() if frame.kind == "module"}
    assert {"", "model", "lm_head", "model.layers.0.mlp.down_proj", "model.layers.29.self_attn"} <= modules
    assert None not in modules


def test_each_linear_layer_runs_once_a_step(demo_profile: Profile) -> None:
    tree = build_run_tree(demo_profile).tree
    calls: dict[str | None, float] = {}
    for node in range(len(tree)):
        frame = tree.frame(node)
        if frame.kind == "module" and tree.frame(tree.path(node)[1]).name == "decode":
            calls[frame.module] = calls.get(frame.module, 0.0) + tree.selfs["calls"][node]
    assert calls["model.layers.7.mlp.up_proj"] == pytest.approx(NEW_TOKENS - 1)
    assert calls[""] == pytest.approx(NEW_TOKENS - 1)


def test_loader_threads_hang_below_the_load(demo_profile: Profile) -> None:
    tree = build_run_tree(demo_profile).tree
    overlapped = tree.totals("overlapped_ns")
    phases = {tree.frame(n).name: n for n, p in enumerate(tree.parents) if p == 0}
    assert overlapped[phases["load"]] > 0
    workers = [n for n in range(len(tree)) if tree.frame(n).kind == "thread"]
    above = {tree.frame(a).name for n in workers for a in tree.path(n)}
    assert "from_pretrained" in above


def test_a_load_counts_the_bytes_of_its_weights(demo_profile: Profile) -> None:
    tree = build_run_tree(demo_profile).tree
    allocated = tree.totals("allocated_bytes")
    phases = {tree.frame(n).name: n for n, p in enumerate(tree.parents) if p == 0}
    assert allocated[phases["load"]] >= demo_profile.subject["weights_in_memory_bytes"]


def test_the_summary_knows_the_model(demo_profile: Profile) -> None:
    document = summarise(demo_profile)
    assert document["subject"]["model"] == "SmolLM2-135M-Instruct"
    assert document["subject"]["parameters"] == 134_515_008
    assert document["subject"]["dtype"] == "float32"
    assert document["latency"]["tpot_ms"]["n"] == REPETITIONS * (NEW_TOKENS - 1)
    assert document["cost"]["dropped"] == 0


def test_memory_was_watched_from_outside(demo_profile: Profile) -> None:
    outside = {"anonymous_bytes", "file_bytes", "shared_bytes", "high_water_bytes", "swap_bytes"}
    assert outside <= {gauge.name for gauge in demo_profile.gauges}
    weights = demo_profile.subject["weights_in_memory_bytes"]
    assert max(g.value for g in demo_profile.gauges if g.name == "anonymous_bytes") > weights
    reports = {r.name: r.value for r in demo_profile.probe_reports if r.probe == "gauges"}
    assert reports["readings"] and reports["interval"] == 10_000_000


def test_the_file_is_one_small_sqlite_file(demo_profile: Profile) -> None:
    beside = [path.name for path in demo_profile.path.parent.iterdir()]
    assert beside == [demo_profile.path.name]
    assert demo_profile.path.stat().st_size < 5_000_000
    with sqlite3.connect(demo_profile.path) as db:
        assert db.execute("SELECT count(*) FROM phase WHERE name = 'prefill'").fetchone() == (REPETITIONS,)
    db.close()

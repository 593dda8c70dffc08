"""Planted memory faults are found where they were planted, to the byte; peaks are explained."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmflame
from llmflame.analysis.findings import find
from llmflame.analysis.memory.composition import compositions
from llmflame.analysis.memory.growth import growth, left_behind
from llmflame.analysis.memory.moments import moments
from llmflame.analysis.memory.stack import stack_of
from llmflame.analysis.run_tree import build_run_tree
from llmflame.probes.memory.census import NOT_A_WEIGHT
from llmflame.store import categories, metrics
from llmflame.store.profile import Profile
from tests.integration import checkpoints

MIB = 1024 * 1024
NEW_TOKENS = 12
LEAK_BYTES = MIB
TEMPORARY_BYTES = 64 * MIB
CULPRIT = "model.layers.1.mlp"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.tiny(tmp_path_factory.mktemp("tiny"))


def record(folder: Path, output: Path, fault: Any = None) -> Profile:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    if fault is not None:
        mlp = model.get_submodule(CULPRIT)
        original = mlp.forward
        mlp.forward = lambda hidden: fault(mlp, original, hidden)
    ids = torch.ones((1, 8), dtype=torch.long)
    options = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}
    with llmflame.Recorder(model, output, repetitions=2) as recorder:
        for _ in recorder.passes():
            model.generate(ids, **options)
    return recorder.profile


def leaking(mlp: Any, original: Any, hidden: Any) -> Any:
    import torch

    mlp.__dict__.setdefault("kept", []).append(torch.zeros(LEAK_BYTES // 4))
    return original(hidden)


def wasteful(mlp: Any, original: Any, hidden: Any) -> Any:
    import torch

    scratch = torch.zeros(TEMPORARY_BYTES // 4)
    return original(hidden) + scratch[0]


@pytest.fixture(scope="module")
def healthy(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return record(folder, tmp_path_factory.mktemp("out") / "healthy.llmflame")


@pytest.fixture(scope="module")
def leak(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return record(folder, tmp_path_factory.mktemp("out") / "leak.llmflame", leaking)


@pytest.fixture(scope="module")
def temporary(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return record(folder, tmp_path_factory.mktemp("out") / "temporary.llmflame", wasteful)


def names(profile: Profile) -> Iterator[str]:
    return (one.name for one in find(profile, build_run_tree(profile)))


def test_the_cache_is_counted_exactly(healthy: Profile) -> None:
    """2 x layers x kv heads x head size x bytes x tokens: from the object that the model returns."""
    subject = healthy.subject
    per_token = subject["kv_layer_bytes_per_token"] * subject["layers"]
    last = moments(healthy).find("memory", "decode", "end")
    assert last is not None
    assert last.of("host", categories.KV_CACHE) == per_token * (8 + NEW_TOKENS - 1)
    (host,) = growth(healthy)
    assert host.kv_cache.bytes_per_step == pytest.approx(per_token)
    assert host.kv_cache.explained == pytest.approx(1.0)


def test_weights_are_counted_exactly(healthy: Profile) -> None:
    last = moments(healthy).find("memory", "decode", "end")
    assert last is not None
    rotary = last.held["host"][categories.WEIGHTS, "model.rotary_emb"]  # buffers, no parameters
    parameters = healthy.subject["weights_in_memory_bytes"]
    assert last.readings["weight_bytes"] - rotary == parameters
    held = {
        owner: size
        for (category, owner), size in last.held["host"].items()
        if category in (categories.WEIGHTS, categories.CHECKPOINT) and owner != NOT_A_WEIGHT
    }
    assert sum(held.values()) - rotary == parameters


def test_parts_add_up_to_the_measured_peak(healthy: Profile) -> None:
    found = {one.phase: one for one in compositions(healthy)}
    assert set(found) >= {"prefill", "decode"}
    for one in found.values():
        assert sum(one.holders.values()) == one.peak_bytes


def test_a_healthy_loop_leaves_nothing_behind(healthy: Profile) -> None:
    assert left_behind(healthy, "host") == ()
    assert not {"memory-grows-each-step", "memory-not-returned"} & set(names(healthy))


def test_a_leak_is_found_with_its_slope_and_its_stack(leak: Profile) -> None:
    assert "memory-grows-each-step" in names(leak)
    (host,) = growth(leak)
    assert host.unexplained_bytes_per_step == pytest.approx(LEAK_BYTES, rel=0.01)
    (node, size), *_ = host.left
    assert size == LEAK_BYTES
    frames = stack_of(leak, node)
    assert any(frame.startswith("leaking") for frame in frames)
    assert any(CULPRIT in frame for frame in frames)


def test_a_temporary_is_found_in_its_module(temporary: Profile) -> None:
    held = {
        (holding.category, holding.owner): holding.bytes
        for moment in temporary.moments
        if (moment.when, moment.phase) == ("peak", "prefill")
        for holding in temporary.holdings
        if (holding.pass_name, holding.moment) == (moment.pass_name, moment.id)
    }
    assert held[categories.TEMPORARIES, CULPRIT] >= TEMPORARY_BYTES
    number = next(n for n, metric in temporary.metrics.items() if metric.name == metrics.HELD.name)
    sizes = [cell.value for cell in temporary.cells if cell.metric == number]
    assert TEMPORARY_BYTES in sizes


def test_what_cannot_be_repeated_is_counted_when_it_ends(folder: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.ones((1, 8), dtype=torch.long)
    with llmflame.Recorder(model, tmp_path / "a.llmflame") as recorder:
        model.generate(ids, max_new_tokens=4, min_new_tokens=4, do_sample=False)
    found = {one.phase: one for one in compositions(recorder.profile)}
    assert set(found) >= {"prefill", "decode"}
    for one in found.values():
        assert sum(one.holders.values()) == one.peak_bytes
        assert one.of(categories.RUNTIME) > 0

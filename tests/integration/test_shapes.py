"""The last request of a recording: its windows tell what operators must do, and no time at all."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import llmflame
from llmflame.analysis.device_checks import device_checks
from llmflame.analysis.run_tree import build_run_tree
from llmflame.store.metrics import WORK
from llmflame.store.profile import Profile
from llmflame.store.rows import WindowRow
from tests.integration import checkpoints

NEW_TOKENS = 10


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Profile, Any]:
    from transformers import AutoModelForCausalLM

    folder = checkpoints.tiny(tmp_path_factory.mktemp("tiny"))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    ids = torch.arange(1, 9).reshape(1, 8)
    with llmflame.Recorder(model, folder / "a.llmflame", repetitions=1) as recorder:
        for _ in recorder.passes():
            model.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False)
    return recorder.profile, model


def shapes(profile: Profile) -> list[WindowRow]:
    return [window for window in profile.windows if window.kind == "shapes"]


def cells_of(profile: Profile, window: WindowRow) -> dict[str, float]:
    sums: dict[str, float] = {}
    for cell in profile.cells:
        if cell.window == window.id:
            name = profile.metrics[cell.metric].name
            sums[name] = sums.get(name, 0.0) + cell.value
    return sums


def test_the_steps_that_were_traced_are_noted_too_and_the_last(recorded: tuple[Profile, Any]) -> None:
    profile, _ = recorded
    steps = [(window.span_name, window.step) for window in shapes(profile)]
    assert steps == [("prefill", 0), ("decode", 1), ("decode", 8), ("decode", NEW_TOKENS - 1)]
    traced = {(w.span_name, w.step) for w in profile.windows if w.kind == "traced"}
    assert set(steps[:3]) <= traced


def test_they_hold_work_and_nothing_else(recorded: tuple[Profile, Any]) -> None:
    profile, _ = recorded
    for window in shapes(profile):
        found = cells_of(profile, window)
        assert set(found) <= WORK
        assert found["flops"] > 0 and found["read_bytes"] > found["weight_bytes"] > 0
        assert "unknown_work" not in found
        assert (window.dropped, window.samples) == (0, None)
    for window in profile.windows:
        if window.kind != "shapes":
            assert not set(cells_of(profile, window)) & WORK


def test_a_prompt_takes_as_many_products_as_it_has_tokens(recorded: tuple[Profile, Any]) -> None:
    profile, model = recorded
    prefill, first, *_, last = [cells_of(profile, window) for window in shapes(profile)]
    head = 2 * model.lm_head.weight.numel()  # of the last position only
    assert prefill["flops"] - head == pytest.approx(8 * (first["flops"] - head), rel=0.05)
    assert last["weight_bytes"] == first["weight_bytes"], "each step reads the weights once"
    assert last["read_bytes"] > first["read_bytes"], "and a cache that has grown"


def test_a_step_reads_the_models_weights_once(recorded: tuple[Profile, Any]) -> None:
    """Of a tied embedding one row and then the whole; of rotary buffers the frequencies."""
    profile, model = recorded
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    row = model.get_input_embeddings().weight[0].numel() * 4
    found = cells_of(profile, shapes(profile)[1])["weight_bytes"]
    assert 0 <= found - weights - row <= sum(one.numel() * one.element_size() for one in model.buffers())


def test_no_time_of_it_is_in_the_run(recorded: tuple[Profile, Any]) -> None:
    profile, _ = recorded
    spans = [span for span in profile.spans if span.pass_name == "anatomy" and span.name == "request"]
    assert [span.repetition for span in sorted(spans, key=lambda span: span.start_ns)] == [1, 0]
    tree = build_run_tree(profile).tree
    assert sum(tree.selfs["flops"]) > 0


def test_only_traced_windows_say_what_was_when(recorded: tuple[Profile, Any]) -> None:
    profile, _ = recorded
    traced = {row.id for row in profile.windows if row.kind == "traced"}
    assert {piece.window for piece in profile.slices} == traced and shapes(profile)


def test_without_a_device_there_is_nothing_to_check(recorded: tuple[Profile, Any]) -> None:
    profile, _ = recorded
    assert profile.device_work == ()
    assert device_checks(profile, build_run_tree(profile)) == []

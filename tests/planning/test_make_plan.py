"""Plans of whole models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmflame.errors import UsageError
from llmflame.planning import activations, devices
from llmflame.planning.document import document
from llmflame.planning.plan import Asked, Plan, make_plan
from llmflame.planning.subject import PlannedModel, find
from llmflame.store import categories
from llmflame.subjects import dummy_write
from llmflame.subjects.progress import silent
from tests.planning.configs import config
from tests.subjects.tiny import TINY_LLAMA

GIB = 2**30
GPU = devices.named_device("H100")
CPU = devices.of_size(8 * GIB, "cpu")


def tiny(**changes: Any) -> PlannedModel:
    model = PlannedModel("tiny", config("llama"), "LlamaForCausalLM", "bfloat16", None, None)
    return replace(model, **changes)


def amounts(plan: Plan, phase: str) -> dict[str, int]:
    (found,) = (one for one in plan.phases if one.name == phase)
    return {item.category: item.bytes for item in found.items}


def test_a_plan_for_a_gpu() -> None:
    plan = make_plan(tiny(), Asked(2, 100, 10), GPU)
    assert [phase.name for phase in plan.phases] == ["load", "prefill", "decode"]
    assert {phase.space for phase in plan.phases} == {"device"}
    load = amounts(plan, "load")
    assert set(load) == {categories.WEIGHTS, categories.CONTEXT, categories.SLACK}
    assert load[categories.WEIGHTS] == sum(plan.module_bytes.values())
    assert amounts(plan, "prefill")[categories.WORKSPACE] == 32 * 2**20
    assert plan.fits and plan.footprint.method == "simulation"
    assert plan.most_context.capped and plan.most_context.value == 2048 - 10


def test_weights_are_counted_once_where_they_are_mapped() -> None:
    plan = make_plan(tiny(), Asked(), CPU)
    mapped = amounts(plan, "prefill")
    assert mapped[categories.CHECKPOINT] == plan.parameters * 2
    assert mapped[categories.WEIGHTS] == sum(plan.module_bytes.values()) - plan.parameters * 2
    assert amounts(plan, "load")[categories.CHECKPOINT] == 0


def test_converted_weights_are_beside_their_files_while_they_load() -> None:
    plan = make_plan(tiny(), Asked(dtype="float32"), CPU)
    load = amounts(plan, "load")
    assert load[categories.CHECKPOINT] == plan.parameters * 2
    assert load[categories.WEIGHTS] >= plan.parameters * 4
    assert categories.CHECKPOINT not in amounts(plan, "decode")


def test_where_it_stops_fitting() -> None:
    device = devices.of_size(GIB, "cuda")
    plan = make_plan(tiny(), Asked(1, 500, 4), device)
    most = plan.most_batch
    assert most.exact and most.value > 1
    for batch, fits in ((most.value, True), (most.value + 1, False)):
        assert make_plan(tiny(), Asked(batch, 500, 4), device).fits is fits
    small = make_plan(tiny(), Asked(), devices.of_size(1000, "cuda"))
    assert not small.fits and small.most_batch.value == small.most_context.value == 0


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(1, 6), st.integers(1, 200), st.integers(1, 20), st.sampled_from([CPU, GPU]))
def test_totals_are_sums_and_never_fall(batch: int, context: int, new: int, device: devices.Device) -> None:
    plan = make_plan(tiny(), Asked(batch, context, new), device)
    for phase in plan.phases:
        assert phase.total == sum(item.bytes for item in phase.items)
        assert all(item.bytes >= 0 and item.formula for item in phase.items)
        assert len({item.category for item in phase.items}) == len(phase.items)
        assert {item.category for item in phase.items} <= set(categories.ORDER)
    for more in (Asked(batch + 1, context, new), Asked(batch, context + 1, new)):
        larger = make_plan(tiny(), more, device)
        for small, large in zip(plan.phases, larger.phases, strict=True):
            assert request_bytes(large.items) >= request_bytes(small.items)


def request_bytes(items: Any) -> int:
    """Without the process, which grows by itself."""
    return sum(item.bytes for item in items if item.category != categories.RUNTIME)


def test_the_closed_form_where_the_code_can_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("reads a value\nand more")

    monkeypatch.setattr("llmflame.planning.estimator.simulate", fail)
    plan = make_plan(tiny(), Asked(), GPU)
    assert plan.footprint.method == "formula"
    assert plan.notes == (
        "in closed form, because the model can't be run without data (RuntimeError: reads a value)",
    )
    monkeypatch.undo()
    exact = make_plan(tiny(), Asked(), GPU)
    assert activations.simulate is not fail
    assert plan.peak.needed == pytest.approx(exact.peak.needed, rel=0.01)
    with pytest.raises(UsageError, match="can't be planned"):
        monkeypatch.setattr("llmflame.planning.estimator.simulate", fail)
        make_plan(tiny(config=config("mamba")), Asked(context=10), GPU)


def test_packed_weights_are_as_large_as_their_files() -> None:
    plan = make_plan(tiny(quantised=True, weight_bytes=123_456), Asked(), GPU)
    assert amounts(plan, "load")[categories.WEIGHTS] == 123_456
    assert plan.footprint.method == "formula"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(batch=0), "--batch 0: at least 1"),
        (Asked(new_tokens=0), "--new-tokens 0"),
        (Asked(context=0), "--context 0"),
        (Asked(context=2000), "--context 2000 and --new-tokens 64: the model allows 2,048 tokens in all"),
        (Asked(dtype="int3"), "no such dtype: int3"),
    ],
)
def test_what_can_not_be_asked(asked: Asked, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_plan(tiny(), asked, GPU)


def test_a_folder_and_its_headers(tmp_path: Path) -> None:
    dummy_write.write(TINY_LLAMA, tmp_path, silent)
    model = find(str(tmp_path), silent)
    assert model.dtype == "bfloat16" and model.parameters and model.weight_bytes
    plan = make_plan(model, Asked(), GPU)
    assert plan.parameters == model.parameters and plan.notes == ()
    settings_ = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings_, "num_hidden_layers": 1}))
    assert "the weight files hold" in make_plan(find(str(tmp_path), silent), Asked(), GPU).notes[0]
    (tmp_path / "model.safetensors").unlink()
    assert "no safetensors files" in make_plan(find(str(tmp_path), silent), Asked(), GPU).notes[0]


def test_a_dummy_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMFLAME_CACHE", str(tmp_path))
    assert find("dummy:llama-3.2-1b", silent).parameters == 1_235_814_400
    assert list(tmp_path.iterdir()) == []


def test_code_of_its_own_is_not_run(tmp_path: Path) -> None:
    auto = {"auto_map": {"AutoConfig": "code.Config"}, "model_type": "own"}
    (tmp_path / "config.json").write_text(json.dumps(auto))
    with pytest.raises(UsageError, match="brings its own model code"):
        find(str(tmp_path), silent)


def test_the_document_is_plain_json() -> None:
    found = document(make_plan(tiny(), Asked(), GPU))
    assert json.loads(json.dumps(found)) == found
    assert found["schema"] == 1 and found["view"] == "plan"
    assert found["peak_bytes"] == max(phase["total_bytes"] for phase in found["phases"])

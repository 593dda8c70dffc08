"""Points and ceilings of a roofline, with the hand-made run's own numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from llmflame.analysis.roofline_points import Point, ceiling_lines, points
from llmflame.analysis.run_tree import build_run_tree
from llmflame.analysis.tree import Tree
from llmflame.store.model import Fact
from llmflame.store.profile import Profile, read_profile
from tests.gpu_script import US
from tests.handmade import handmade
from tests.handmade_gpu import LAYERS, STEPS, WEIGHT_BYTES, handmade_gpu


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_gpu(tmp_path_factory.mktemp("roof") / "r.llmflame"))


@pytest.fixture(scope="module")
def tree(profile: Profile) -> Tree:
    return build_run_tree(profile).tree


def named(tree: Tree, by: str, phase: str, name: str) -> Point:
    (found,) = [one for one in points(tree) if (one.by, one.phase, one.name) == (by, phase, name)]
    return found


def test_a_class_is_the_sum_of_its_operators(tree: Tree) -> None:
    products = named(tree, "class", "decode", "matmul")
    assert products.flops == pytest.approx(STEPS * WEIGHT_BYTES)
    assert products.moved_bytes == pytest.approx(STEPS * (WEIGHT_BYTES + (2 * LAYERS + 1) * 8_192))
    assert products.time_ns == pytest.approx(STEPS * (LAYERS * 120 + 100) * US, rel=0.01)
    assert products.intensity == pytest.approx(1.0, rel=0.01)
    assert products.flop_per_s == pytest.approx(products.flops / products.time_ns * 1e9)


def test_a_module_is_all_layers(tree: Tree) -> None:
    mlp = named(tree, "module", "decode", "model.layers.*.mlp")
    assert mlp.flops == pytest.approx(STEPS * LAYERS * (200_000_000 + 2_048))
    assert mlp.place == "decode › model.layers.*.mlp"
    assert named(tree, "class", "decode", "matmul").place.endswith("aten::mm")


def test_classes_and_modules_hold_the_same_work(tree: Tree) -> None:
    for phase in ("prefill", "decode"):
        sums = {
            by: [
                sum(getattr(one, name) for one in points(tree) if (one.by, one.phase) == (by, phase))
                for name in ("flops", "moved_bytes", "time_ns")
            ]
            for by in ("class", "module")
        }
        assert sums["class"] == pytest.approx(sums["module"])


def test_nothing_computed_is_no_point(tree: Tree) -> None:
    bare = Point("class", "decode", "copy", 0.0, 5.0, 1.0, "decode")
    assert bare.intensity is None and bare.flop_per_s is None
    assert points(replace(tree, selfs={"wall_ns": tree.selfs["wall_ns"]})) == []


def test_ceilings_are_of_the_models_device(profile: Profile) -> None:
    found = ceiling_lines(profile)
    own = {(one.origin, one.dtype): one.rate for one in found if one.is_own}
    assert own == {
        ("measured", None): 4.0e12,
        ("published", None): 4.8e12,
        ("measured", "bfloat16"): 660e12,
        ("published", "bfloat16"): 989.5e12,
    }
    others = [one for one in found if not one.is_own]
    assert others and {one.origin for one in others} == {"published"}
    assert len({(one.origin, one.dtype) for one in found}) == len(found)


def test_float32_that_runs_as_tf32_is_one_line(profile: Profile) -> None:
    subject = {**profile.subject, "dtype": "float32", "tf32": True}
    found = ceiling_lines(replace(profile, subject=subject))
    assert [one.dtype for one in found if one.is_own and one.dtype] == ["tfloat32"]
    assert len({(one.origin, one.dtype) for one in found}) == len(found)


def test_an_unknown_machine_has_no_ceiling(tmp_path: Path) -> None:
    bare = read_profile(handmade(tmp_path / "a.llmflame"))
    assert ceiling_lines(bare) == []
    measured = replace(bare, machine=(*bare.machine, Fact("ceilings", "host read", 9e9, "bytes/s", "here")))
    assert [(one.origin, one.dtype, one.rate) for one in ceiling_lines(measured)] == [("measured", None, 9e9)]

"""Memory in the page's data: few points, nothing lost, and no name that breaks out."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest

from llmflame.analysis.memory.composition import compositions
from llmflame.analysis.memory.held_tree import METRIC, held_trees
from llmflame.analysis.memory.series import series
from llmflame.analysis.tree import Tree
from llmflame.store.model import Frame, Metric
from llmflame.views.page import PageData, page_memory, render_page
from llmflame.views.page.curves import MOST_POINTS, bands, curves
from llmflame.views.page.document import MAX_TEXT
from llmflame.views.page.held import LEAST_SHARE, MOST_NODES, _Union
from tests.analysis.small import stored
from tests.views.memory_sample import HIGHEST, MIB, MS, STRIDE_NS, memory_profile
from tests.views.test_page import HOSTILE, decoded, embedded
from tests.views.test_page_samples import llama, summary


def memory_page(owner: str = "model.embed", *, device: bool = False) -> str:
    tree = llama()
    memory = page_memory(memory_profile(owner, device=device))
    return render_page(PageData("A run", summary(tree), tree, memory))


def held_of(page: str) -> Tree:
    """The second tree of a page, whose texts are in the page's table."""
    raw = embedded(page)
    return decoded({**raw["memory"]["held"], "strings": raw["strings"]})


def test_series_have_few_points() -> None:
    for one in curves(memory_profile(device=True)):
        assert len(one.times_ns) <= MOST_POINTS
        assert all(len(layer) == len(one.times_ns) for layer in one.layers)
        assert list(one.times_ns) == sorted(one.times_ns)


def test_the_highest_reading_is_kept() -> None:
    host = curves(memory_profile())[0]
    sums = [sum(parts) for parts in zip(*host.layers, strict=True)]
    assert host.times_ns[sums.index(max(sums))] == HIGHEST * STRIDE_NS


def test_layers_of_the_host_are_its_readings() -> None:
    profile = memory_profile()
    gauges, host = series(profile, "clean"), curves(profile)[0]
    assert host.labels == ["anonymous", "file-backed"]
    for number, time in enumerate(host.times_ns):
        known = [gauges[name].at(time) for name in ("anonymous_bytes", "file_bytes")]
        assert [layer[number] for layer in host.layers] == known


def test_layers_of_a_device_add_up_to_what_is_in_use() -> None:
    profile = memory_profile(device=True)
    gauges, device = series(profile, "clean"), curves(profile)[1]
    assert device.space == "device" and min(min(layer) for layer in device.layers) >= 0
    for number, time in enumerate(device.times_ns):
        reserved, used = (gauges[f"device_{name}_bytes"].at(time) for name in ("reserved", "used"))
        lowest = device.layers[0][number]
        assert sum(layer[number] for layer in device.layers) == max(lowest, reserved or 0, used or 0)
        assert (device.layers[3][number] == 0) == (reserved is not None or not used)


def test_the_allocator_is_known_from_the_end_of_the_first_phase() -> None:
    device = curves(memory_profile(device=True))[1]
    told = dict(zip(device.times_ns, device.layers[0], strict=True))
    assert {bytes_ for time, bytes_ in told.items() if time < 150 * MS} == {0}
    assert min(bytes_ for time, bytes_ in told.items() if time >= 151 * MS) >= 300 * MIB


def test_curves_come_back_to_the_byte() -> None:
    profile = memory_profile(device=True)
    for one, raw in zip(
        curves(profile), embedded(memory_page(device=True))["memory"]["charts"]["curves"], strict=True
    ):
        assert [list(accumulate(layer)) for layer in raw["layers"]] == [
            [value // raw["unit"] for value in layer] for layer in one.layers
        ]
        assert raw["unit"] >= 4096, "pages and megabytes are small numbers in a unit of their own"
        assert list(accumulate(raw["time_us"])) == [time // 1000 for time in one.times_ns]


def test_bands_are_the_phases_of_each_request() -> None:
    found = [(band.name, band.repetition) for band in bands(memory_profile())]
    phases = ["tokenize", "prefill", "decode"]
    assert found == [("load", None), *((name, number) for number in range(2) for name in phases)]


def test_compositions_are_conserved() -> None:
    facts = embedded(memory_page(device=True))["memory"]["facts"]
    assert {peak["space"] for peak in facts["peaks"]} == {"host", "device"}
    for peak in [*facts["peaks"], *facts["phases"]]:
        assert sum(part["bytes"] for part in peak["parts"]) == peak["peak_bytes"]


@pytest.mark.parametrize("device", [False, True])
def test_each_peak_is_a_column_with_its_total(device: bool) -> None:
    profile, held = memory_profile(device=device), held_of(memory_page(device=device))
    for composition, tree in held_trees(profile):
        own = METRIC[composition.space].name
        assert held.totals(f"{own}@{composition.phase}")[0] == tree.totals(own)[0]
    assert len(held.metrics) == len(compositions(profile)) + (2 if device else 1)


def test_a_traced_step_is_a_column_where_it_differs() -> None:
    held = held_of(memory_page())
    asked = {name: held.totals(name) for name in ("held_bytes@decode", "held_bytes@decode.1")}
    (frame,) = (node for node in range(len(held)) if held.frame(node).name == "aten::mm")
    assert [totals[frame] for totals in asked.values()] == [4 * MIB, 2 * MIB]
    assert "held_bytes@decode.3" not in asked and "held_bytes@decode.3" not in held.selfs


def test_categories_come_first_and_in_their_order() -> None:
    held = held_of(memory_page())
    top = [held.frame(node).name for node in range(1, len(held)) if held.parents[node] == 0]
    assert top[:2] == ["weights", "kv cache"] and top[-1] == "generate"
    assert all(parent < node for node, parent in enumerate(held.parents))


def test_a_tree_of_too_many_owners_keeps_its_sums() -> None:
    metric = Metric("held_bytes@load", "bytes", "sum", "Bytes")
    tree = Tree([Frame("run", "run")], [-1], [0], [metric], {metric.name: [0.0]}, ["measured"])
    for number in range(MOST_NODES * 2):
        tree.frames.append(Frame("module", "Linear", module=f"model.{number}"))
        tree.parents.append(0)
        tree.node_frames.append(number + 1)
        tree.selfs[metric.name].append(1e6 if number % 1_000 == 0 else 1.0)
        tree.origins.append("measured")
    union = _Union()
    union.add(metric, tree)
    small = union.ordered()
    assert len(small) <= 1 / LEAST_SHARE
    assert small.totals(metric.name)[0] == tree.totals(metric.name)[0]


@pytest.mark.parametrize("owner", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_owners_stay_inside_the_data(owner: str) -> None:
    stored_owner = owner.encode("utf-8", "backslashreplace").decode()
    page = memory_page(stored_owner)
    assert page.count("<script") == 2 and page.count("</script>") == 2
    page.encode("utf-8")
    raw: Any = embedded(page)["memory"]["facts"]
    told = {one["owner"] for one in raw["peaks"][0]["owners"]["weights"]}
    assert len(told) == 1 and all(len(name) <= MAX_TEXT + len("… (1,000,000 characters)") for name in told)


def test_a_profile_without_memory_has_nothing_to_show() -> None:
    memory = page_memory(stored())
    assert memory.held is None and memory.charts == {"curves": [], "bands": []}
    tree = llama()
    assert embedded(render_page(PageData("A run", summary(tree), tree, memory)))["memory"]["held"] is None
    assert embedded(render_page(PageData("A run", summary(tree), tree)))["memory"] is None


def test_memory_grows_a_page_by_little() -> None:
    tree = llama()
    bare = len(render_page(PageData("A run", summary(tree), tree)))
    assert len(memory_page(device=True)) - bare < 40_000


def test_equal_profiles_give_equal_pages() -> None:
    assert memory_page(device=True) == memory_page(device=True)

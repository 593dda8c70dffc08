"""What a step adds is read off a line through the steps; gauges hold until the next reading."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.memory.growth import FEWEST_STEPS, floors, growth
from llmflame.analysis.memory.overview import memory_document
from llmflame.analysis.memory.series import EMPTY, Series, highest_together
from llmflame.analysis.memory.step_bytes import step_bytes
from llmflame.store.profile import Profile, read_profile
from tests.handmade import MIB, MS
from tests.handmade_memory import KIB, LEFT_BYTES, STEP_BYTES, STEPS, handmade_memory

from .small import span


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_memory(tmp_path_factory.mktemp("host") / "a.llmflame"))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_memory(tmp_path_factory.mktemp("device") / "a.llmflame", device=True))


def test_each_step_has_what_was_held_when_it_began(host: Profile, device: Profile) -> None:
    for profile, name in ((host, "heap"), (device, "device")):
        held = [one for step, one in sorted(step_bytes(profile).items()) if step >= 1]
        caches = [one.kv_cache for one in held]
        assert len(held) == STEPS and None not in caches
        (slope,) = {after - before for before, after in itertools.pairwise(caches)}  # type: ignore[operator]
        assert slope == STEP_BYTES
        assert all(getattr(one, name) is not None for one in held)
    assert all(one.device is None for one in step_bytes(host).values())
    assert all(one.device_peak is not None for step, one in step_bytes(device).items() if step >= 1)


def test_a_host_grows_by_its_cache_and_a_hundred_bytes(host: Profile) -> None:
    (one,) = growth(host)
    assert (one.space, one.steps) == ("host", STEPS)
    assert one.held.bytes_per_step == pytest.approx(STEP_BYTES + 100)
    assert one.held.explained == pytest.approx(1)
    assert one.kv_cache.bytes_per_step == pytest.approx(STEP_BYTES)
    assert one.unexplained_bytes_per_step == pytest.approx(100)
    assert one.slack is None and one.peak is None


def test_a_device_has_fragmentation_and_a_copy_in_the_step(device: Profile) -> None:
    on_device, on_host = growth(device)
    assert on_device.held.bytes_per_step == pytest.approx(STEP_BYTES + 512)
    assert on_device.unexplained_bytes_per_step == pytest.approx(512)
    assert on_device.slack is not None and on_device.slack.bytes_per_step == pytest.approx(2 * KIB)
    assert on_device.peak is not None and on_device.peak.bytes_per_step == pytest.approx(STEP_BYTES)
    assert on_host.held.bytes_per_step == pytest.approx(100)
    assert on_host.kv_cache.bytes_per_step == 0, "the cache lies on the device"


def test_what_is_left_behind_has_a_stack(device: Profile) -> None:
    on_device, on_host = growth(device)
    assert on_device.left_bytes_per_step == LEFT_BYTES and not on_host.left
    (left,) = memory_document(device)["growth"][0]["left"]
    assert left["bytes_per_step"] == LEFT_BYTES
    assert left["stack"] == [
        "TinyForCausalLM",
        "_call_impl (torch/nn/modules/module.py:1782)",
        "forward (transformers/models/tiny/modeling_tiny.py:40)",
        "TinyLayer (model.layers.1)",
        "remember (app/history.py:7)",
    ]


def test_floors_are_in_order(host: Profile) -> None:
    assert floors(host) == {"host": [100 * MIB, 100 * MIB, 101 * MIB]}


def test_a_few_steps_make_no_line(host: Profile) -> None:
    few = [one for one in host.spans if one.name != "step" or (one.step or 0) < FEWEST_STEPS]
    assert growth(replace(host, spans=tuple(few))) == []
    assert growth(replace(host, gauges=())) == []


def test_a_reading_holds_until_the_next() -> None:
    readings = Series([10, 20, 20, 30], [1.0, 2.0, 3.0, 4.0])
    assert [readings.at(time) for time in (9, 10, 19, 20, 29, 1_000)] == [None, 1, 1, 3, 3, 4]
    assert readings.within(15, 30) == [(15, 1), (20, 2), (20, 3), (30, 4)]
    assert readings.within(0, 5) == [] and EMPTY.within(0, 5) == []
    assert readings.within(40, 50) == [(40, 4)]


def test_gauges_are_highest_together_not_each_for_itself() -> None:
    phase = span("load", 100 * MS, 1, start_ns=0)
    first = Series([0, 10, 50], [1.0, 9.0, 2.0])
    second = Series([0, 10, 60], [1.0, 0.0, 8.0])
    assert highest_together([first, second], phase) == (2.0, 8.0)
    assert highest_together([first, EMPTY], phase) is None


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 1e9)), min_size=1), st.integers(0, 120))
def test_a_step_function_knows_only_its_readings(readings: list[tuple[int, float]], time: int) -> None:
    readings.sort(key=lambda reading: reading[0])
    function = Series([when for when, _ in readings], [value for _, value in readings])
    before = [value for when, value in readings if when <= time]
    assert function.at(time) == (before[-1] if before else None)


def test_the_document_of_a_profile_without_moments_says_so(tmp_path: Path) -> None:
    from tests.handmade import handmade

    document = memory_document(read_profile(handmade(tmp_path / "a.llmflame")))
    assert document["peaks"] == [] and document["growth"] == [] and document["failure"] is None
    assert document["notes"] == ["Nobody counted who holds the memory in this recording."]

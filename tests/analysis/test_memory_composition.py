"""What a peak is made of: the parts add up to it, whatever the holders say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflame.analysis.memory.composition import Composition, compositions, run_peak
from llmflame.analysis.memory.overview import memory_document
from llmflame.store import categories as c
from llmflame.store.profile import Profile, read_profile
from llmflame.store.rows import GaugeRow, HoldingRow, MomentRow, ReadingRow, Row, Space
from tests.handmade_memory import Held, gauge, handmade_memory, moment

from .small import span, stored

EMPTY = stored()
MIB = 1 << 20


def made(rows: Iterable[Row], **fields: object) -> Profile:
    """A profile of these rows, without a file."""
    found = list(rows)
    return replace(
        EMPTY,
        moments=tuple(row for row in found if isinstance(row, MomentRow)),
        holdings=tuple(row for row in found if isinstance(row, HoldingRow)),
        readings=tuple(row for row in found if isinstance(row, ReadingRow)),
        gauges=tuple(row for row in found if isinstance(row, GaugeRow)),
        **fields,  # type: ignore[arg-type]
    )


def of(profile: Profile, phase: str, space: Space = "host") -> Composition:
    return next(one for one in compositions(profile) if (one.phase, one.space) == (phase, space))


def sizes(composition: Composition) -> dict[str, float]:
    return {category: size / MIB for category, size in composition.parts}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_memory(tmp_path_factory.mktemp("host") / "a.llmflame"))


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return read_profile(handmade_memory(tmp_path_factory.mktemp("device") / "a.llmflame", device=True))


def test_a_load_holds_the_checkpoint_beside_what_is_made_of_it(host: Profile) -> None:
    """At its peak 10 MiB of pages and 6 MiB of its own more were resident than at its end."""
    found = of(host, "load")
    assert found.peak_bytes == 160 * MIB
    assert sizes(found) == {
        c.WEIGHTS: 80, c.CHECKPOINT: 14, c.TEMPORARIES: 6, c.SLACK: 8, c.RUNTIME: 40, c.OTHER: 12,
    }  # fmt: skip
    assert found.holders[c.CHECKPOINT, "while it is read"] == 10 * MIB
    assert found.residual_share == pytest.approx(12 / 160)


def test_a_warm_up_holds_a_cache_as_long_as_a_later_requests(host: Profile) -> None:
    """It begins without one: what its census knows of the cache is nothing."""
    assert of(host, "warmup").of(c.KV_CACHE) == of(host, "decode").of(c.KV_CACHE) > 6 * MIB


def test_a_warm_up_is_made_like_the_higher_part_of_a_request() -> None:
    """A long prompt's peak is its prefill's: what prefill took was once called `other` in the warm-up."""
    rows = [
        *moment(1, "clean", "load", "end", {"host": {(c.WEIGHTS, "a"): 5 * MIB}}),
        *moment(1, "memory", "prefill", "begin", {"host": {(c.WEIGHTS, "a"): 5 * MIB}}),
        *moment(2, "memory", "decode", "begin", {"host": {(c.KV_CACHE, "b"): 2 * MIB}}),
        *moment(1, "anatomy", "prefill", "peak", {"host": {(c.ACTIVATIONS, "b"): 3 * MIB}}),
        *moment(2, "anatomy", "decode", "peak", {"host": {(c.ACTIVATIONS, "b"): 1 * MIB}}),
    ]
    spans = (
        span("warmup", 0, 1, peak_rss_bytes=8 * MIB),
        span("prefill", 1, 1, peak_rss_bytes=8 * MIB),
        span("decode", 2, 1, peak_rss_bytes=7 * MIB),
    )
    found = of(made(rows, spans=spans), "warmup")
    assert found.holders == {(c.WEIGHTS, "a"): 5 * MIB, (c.ACTIVATIONS, "b"): 3 * MIB}


def test_a_decode_takes_what_a_traced_step_took_on_top(host: Profile) -> None:
    """The census of the last step knows 6 MiB of cache; the traced one took 2 MiB and gave 1 MiB back."""
    found = of(host, "decode")
    assert found.of(c.ACTIVATIONS) == 1 * MIB and found.of(c.TEMPORARIES) == 2 * MIB
    assert found.of(c.KV_CACHE) == (6 + 2 - 1) * MIB
    assert found.of(c.OTHER) == 0
    assert 0 <= found.of(c.SLACK) <= 8 * MIB, "what was taken came from the free chunks"


def test_what_a_cache_gives_back_it_may_have_taken_itself() -> None:
    """A census that knows no cache, and a window that gives some back: nobody holds less than nothing."""
    taken: Held = {(c.KV_CACHE, ""): -1 * MIB, (c.KV_CACHE, "model.layers.0"): 3 * MIB}
    rows = [
        *moment(1, "memory", "decode", "begin", {"host": {(c.WEIGHTS, "a"): 5 * MIB}}),
        *moment(1, "anatomy", "decode", "peak", {"host": taken}),
    ]
    found = of(made(rows, spans=(span("decode", 1, 1, peak_rss_bytes=7 * MIB),)), "decode")
    assert found.holders == {(c.WEIGHTS, "a"): 5 * MIB, (c.KV_CACHE, "model.layers.0"): 2 * MIB}


def test_a_device_has_a_context_and_neighbours(device: Profile) -> None:
    found = of(device, "decode", "device")
    assert sizes(found) == pytest.approx(
        {
            c.WEIGHTS: 80, c.KV_CACHE: 7, c.ACTIVATIONS: 1, c.TEMPORARIES: 2,
            c.SLACK: 96 - 92, c.CONTEXT: 1_000 - 512 - 96, c.OTHER: 92 - 80 - 7 - 3,
        },
        abs=1e-5,
    )  # fmt: skip
    assert found.others_bytes == 512 * MIB, "what was in use before this process came"
    assert found.peak_bytes == (1_000 - 512) * MIB
    assert {one.space for one in compositions(device) if one.phase == "load"} == {"host"}


def test_the_driver_may_tell_the_process_own_bytes() -> None:
    readings = {"device_used_bytes": 1_000, "device_reserved_bytes": 300}
    rows = [
        *moment(1, "memory", "decode", "begin", {"device": {(c.WEIGHTS, "a"): 200}}, readings),
        *gauge("clean", "device_used_bytes", (0, 600)),
        *gauge("clean", "device_process_bytes", (0, 450)),
    ]
    decode = span("decode", 1, 1, device_peak_bytes=250)
    found = of(made(rows, spans=(decode,)), "decode", "device")
    assert found.others_bytes == 550 and found.peak_bytes == 450
    assert (found.of(c.CONTEXT), found.of(c.SLACK), found.of(c.OTHER)) == (150, 50, 50)


def test_a_run_has_one_peak_in_each_space(host: Profile, device: Profile) -> None:
    peak = run_peak(compositions(host), "host")
    assert peak is not None and peak.phase == "load"
    assert run_peak(compositions(host), "device") is None
    assert run_peak(compositions(EMPTY), "host") is None
    both = [(one["space"], one["phase"]) for one in memory_document(device)["peaks"]]
    assert both == [("device", "warmup"), ("host", "load")]


def test_alike_owners_are_one_in_the_document(host: Profile) -> None:
    owners = memory_document(host)["peaks"][0]["owners"][c.WEIGHTS]
    assert owners == [
        {"owner": "model.layers.*.mlp", "bytes": 60 * MIB, "count": 2},
        {"owner": "model.embed_tokens", "bytes": 20 * MIB, "count": 1},
    ]


BYTES = st.integers(0, 1 << 30)
HOLDERS = st.dictionaries(
    st.tuples(st.sampled_from(c.ORDER[:-1]), st.sampled_from(["", "model.layers.0", "model.layers.1", "b"])),
    BYTES,
    max_size=12,
)
TAKEN = st.dictionaries(
    st.tuples(
        st.sampled_from([c.KV_CACHE, c.ACTIVATIONS, c.TENSORS]), st.sampled_from(["", "model.layers.0"])
    ),
    st.integers(-(1 << 28), 1 << 28),
    max_size=6,
)
PHASES = ("load", "warmup", "tokenize", "prefill", "decode", "detokenize")
READINGS = ("anonymous_bytes", "file_bytes", "device_used_bytes", "device_reserved_bytes")


@given(
    phase=st.sampled_from(PHASES),
    held=HOLDERS,
    on_device=HOLDERS,
    taken=TAKEN,
    peaks=st.tuples(st.integers(1, 1 << 31), st.integers(1, 1 << 31)),
    readings=st.dictionaries(st.sampled_from(READINGS), BYTES),
    pages=st.tuples(BYTES, BYTES) | st.none(),
)
def test_holders_always_add_up_to_the_peak(
    phase: str,
    held: Held,
    on_device: Held,
    taken: Held,
    peaks: tuple[int, int],
    readings: Mapping[str, int],
    pages: tuple[int, int] | None,
) -> None:
    """Whatever was recorded: the parts are whole bytes, and their sum is what was measured."""
    both: dict[Space, Held] = {"host": held, "device": on_device}
    rows: list[Row] = [
        *moment(1, "clean", "load", "end", both, readings),
        *moment(1, "memory", "request", "begin", both, readings),
        *moment(2, "memory", "prefill", "begin", both, readings),
        *moment(3, "memory", "decode", "begin", both, readings, step=3),
        *moment(4, "memory", "request", "end", both, readings),
        *moment(1, "anatomy", phase, "peak", {"host": taken, "device": taken}, step=1),
    ]
    if pages is not None:
        rows += gauge("clean", "anonymous_bytes", (0, pages[0]))
        rows += gauge("clean", "file_bytes", (0, pages[1]))
    measured = span(phase, 1_000, 1, peak_rss_bytes=peaks[0], device_peak_bytes=peaks[1])
    counted = [
        span("step", 1, 10 + step, step=step, kv_tokens=7 + step, pass_name="memory") for step in range(4)
    ]
    found = compositions(made(rows, spans=(measured, *counted)))
    assert any(one.space == "host" for one in found)
    for one in found:
        assert sum(one.holders.values()) == one.peak_bytes
        assert sum(size for _, size in one.parts) == one.peak_bytes
        assert all(size.is_integer() for size in one.holders.values())
        if one.space == "host":
            assert one.peak_bytes == peaks[0]
            slack = sum(size for (category, _), size in held.items() if category == c.SLACK)
            assert 0 <= one.of(c.SLACK) <= slack + len(held)
        else:
            assert one.peak_bytes >= peaks[1]
            assert one.of(c.CONTEXT) >= 0 and one.of(c.SLACK) >= 0 and one.others_bytes >= 0


def test_the_hand_made_profiles_are_whole(tmp_path: Path) -> None:
    for on_device in (False, True):
        path = handmade_memory(tmp_path / f"{on_device}.llmflame", device=on_device)
        for one in compositions(read_profile(path)):
            assert sum(one.holders.values()) == one.peak_bytes
